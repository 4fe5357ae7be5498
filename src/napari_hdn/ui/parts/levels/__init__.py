"""What the level inspector is made of."""
