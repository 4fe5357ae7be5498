"""From posterior samples to diverse instance segmentations, and what they agree on (paper A.8)."""
