"""Models as one file, for colleagues and for the BioImage Model Zoo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_hdn.core.events import Stop
from napari_hdn.io.sharing.events import SharingEvent


def export_model(
    folder: Path | str,
    target: Path | str,
    *,
    training_state: bool = False,
    stop: Stop | None = None,
) -> Iterator[SharingEvent]:
    """Pack a model folder into one .zip; see `napari_hdn.io.sharing.zip_export.export_zip`."""
    from napari_hdn.io.sharing.zip_export import export_zip

    return export_zip(Path(folder), Path(target), training_state=training_state, stop=stop)


def import_model(
    path: Path | str, name: str | None = None, *, stop: Stop | None = None
) -> Iterator[SharingEvent]:
    """Take a model in from a .zip; see `napari_hdn.io.sharing.zip_import.import_model`."""
    from napari_hdn.io.sharing.zip_import import import_model as _import

    return _import(Path(path), name, stop=stop)
