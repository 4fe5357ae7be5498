"""Writing OME-Zarr 0.5: by regions, from several processes, resumable, never over what exists."""
