"""Models as one file, for colleagues and for the BioImage Model Zoo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_hdn.core.events import Stop
from napari_hdn.io.sharing.events import SharingEvent
from napari_hdn.io.sharing.zoo.details import ZooDetails


def export_model(
    folder: Path | str,
    target: Path | str,
    *,
    training_state: bool = False,
    zoo: ZooDetails | None = None,
    stop: Stop | None = None,
) -> Iterator[SharingEvent]:
    """Pack a model folder into one file.

    Parameters
    ----------
    folder : path
        Of the model.
    target : path
        A file that ends in ``.zip``, numbered where it exists; or a folder.
    training_state : bool
        Whether what is needed to train on goes along; not to the zoo.
    zoo : ZooDetails, optional
        Makes a package for the BioImage Model Zoo; see
        `napari_hdn.io.sharing.zoo.package.export_zoo`. Without, a .zip of the folder; see
        `napari_hdn.io.sharing.zip_export.export_zip`.
    """
    if zoo is not None:
        from napari_hdn.io.sharing.zoo.package import export_zoo

        return export_zoo(Path(folder), Path(target), zoo, stop=stop)
    from napari_hdn.io.sharing.zip_export import export_zip

    return export_zip(Path(folder), Path(target), training_state=training_state, stop=stop)


def import_model(
    path: Path | str, name: str | None = None, *, stop: Stop | None = None
) -> Iterator[SharingEvent]:
    """Take a model in from a .zip; see `napari_hdn.io.sharing.zip_import.import_model`."""
    from napari_hdn.io.sharing.zip_import import import_model as _import

    return _import(Path(path), name, stop=stop)
