"""Pixel noise models p(x | s) in camera counts: how likely counts x are where the signal is s."""
