"""Docks, sample data and writer for napari: views of a session that asks the api for work."""
