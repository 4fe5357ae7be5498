"""Files: TIFF in, OME-TIFF out, simulated samples, the folder of models. No Qt, no torch."""
