"""Hierarchical DivNoising itself: torch and numpy only, no Qt, no napari."""
