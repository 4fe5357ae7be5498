"""The same work without a screen: the command ``napari-hdn``."""

from napari_hdn.cli.app import main

__all__ = ["main"]
