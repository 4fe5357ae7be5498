"""Recipe files: read with care, found again with their images, written beside results."""
