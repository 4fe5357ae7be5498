"""The folder of models: names, notes, variants, direct networks, and how models differ."""
