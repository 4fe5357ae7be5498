"""From what a user recorded to a noise model that was judged: sources, fits, checks."""
