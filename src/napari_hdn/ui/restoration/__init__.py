"""Restoration jobs: layers into layers, a folder into files, a quick look at what is in view."""

from napari_hdn.ui.restoration.folder import FolderJob
from napari_hdn.ui.restoration.layers import LayersJob
from napari_hdn.ui.restoration.preview import PreviewJob
from napari_hdn.ui.restoration.sufficiency import SufficiencyJob
from napari_hdn.ui.restoration.teaching import TeachingJob

__all__ = ["FolderJob", "LayersJob", "PreviewJob", "SufficiencyJob", "TeachingJob"]
