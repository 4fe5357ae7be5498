"""Models as one file: a .zip of the model folder, or a package for the BioImage Model Zoo."""
