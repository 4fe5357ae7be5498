"""Packages for the BioImage Model Zoo: what other programs can run of a model, and the model itself."""
