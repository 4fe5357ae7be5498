"""Batches: many images into one folder, with a table of what came of each."""
