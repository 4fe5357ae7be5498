"""Small widgets that the docks are made of; each shows one thing and says when it changed."""
