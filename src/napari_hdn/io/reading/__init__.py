"""Reading images: one module a format, behind `napari_hdn.io.images.open_images`."""
