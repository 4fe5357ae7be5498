"""May a restoration be believed? What the image, its noise model and more frames tell of it."""
