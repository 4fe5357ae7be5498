"""Restoring by many processes, through ``dask.distributed`` (extra ``cluster``).

The client (`crew`, `restoring`) cuts a stack into regions and hands these out; workers (`worker`) read
a region from the file that the client names, restore it and write it to its own chunks of an OME-Zarr.
What travels between them is in `parcels`. Nothing else of napari-hdn knows ``distributed``.
"""
