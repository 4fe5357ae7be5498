"""The images of one job, by what each shows; and how they are written as OME-TIFF."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from napari_hdn.io.disk import check_room
from napari_hdn.io.leftovers import remove_leftovers
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.ome_tiff import OmeTiffWriter


@dataclass(frozen=True)
class Product:
    """An image that a job makes.

    Attributes
    ----------
    path : Path
        Where it goes when it is whole.
    shape : tuple of int
    axes : str
        One letter of ``STCZYX`` per axis. S comes first where every plane has several samples.
    dtype : dtype
    many : bool
        Whether a plane of the job has several samples of it.
    """

    path: Path
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype
    many: bool = False


def room_for(stem: str, products: Mapping[str, Product]) -> str:
    """What needs room on the disk: ``cells_hdn (mean, samples of 20)``."""
    names = [
        f"{name} of {product.shape[product.axes.index('S')]}" if product.many else name
        for name, product in products.items()
    ]
    return f"{stem} ({', '.join(names)})"


class TiffProducts:
    """Writes the products of a job as OME-TIFF, plane by plane; a context manager.

    Leaving it early keeps the planes that are done, in files that say ``partial``.

    Parameters
    ----------
    folder : Path
    stem : str
        What all names begin with.
    products : mapping of str to Product
    metadata : ImageMetadata
    made_by : str
        What the images say of themselves.
    tidy : bool
        Whether to look for what killed processes left, which means to list the folder.

    Attributes
    ----------
    written : dict of str to Path
    """

    kept = ""
    done: frozenset[tuple[int, ...]] = frozenset()

    def __init__(
        self,
        folder: Path,
        stem: str,
        products: Mapping[str, Product],
        *,
        metadata: ImageMetadata,
        made_by: str,
        tidy: bool = True,
    ) -> None:
        self._folder, self._stem, self._products = folder, stem, dict(products)
        self._tidy = tidy
        self._open = ExitStack()
        self._removed: list[Path] = []
        self.written: dict[str, Path] = {}
        self._writers = {
            name: OmeTiffWriter(
                product.path,
                product.shape,
                product.axes,
                product.dtype,
                metadata=metadata,
                description=made_by,
            )
            for name, product in products.items()
        }

    def __enter__(self) -> Self:
        if self._tidy:
            self._removed = remove_leftovers(self._folder, self._stem)
        needed = sum(writer.nbytes for writer in self._writers.values())
        check_room(self._folder, needed, room_for(self._stem, self._products))
        with ExitStack() as entered:
            for writer in self._writers.values():
                entered.enter_context(writer)
            self._open = entered.pop_all()
        return self

    def remarks(self) -> list[str]:
        """What the user should know before the work begins."""
        if not self._removed:
            return []
        return [
            f"Removed {len(self._removed)} unfinished files that a restoration of this image left in "
            f"{self._folder} when it was killed."
        ]

    def write(
        self,
        index: tuple[int, ...],
        planes: Mapping[str, np.ndarray],
        first_row: int,
        complete: bool,
    ) -> None:
        """Write rows of a plane: by product (rows, X), or (samples, rows, X)."""
        for name, writer in self._writers.items():
            rows = planes[name]
            if not self._products[name].many:
                writer.write(index, rows, first_row)
                continue
            for number, sample in enumerate(rows):
                writer.write((number, *index), sample, first_row)

    def give_up(self, index: tuple[int, ...]) -> None:
        """Leave out a plane that cannot be restored; see `OmeTiffWriter.give_up`."""
        for name, writer in self._writers.items():
            if not self._products[name].many:
                writer.give_up(index)
                continue
            for number in range(self._samples(name)):
                writer.give_up((number, *index))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._open.__exit__(kind, error, traceback)
        finally:
            self.written = {
                name: writer.written
                for name, writer in self._writers.items()
                if writer.written is not None
            }

    @property
    def clipped(self) -> dict[str, int]:
        """Pixels that did not fit an integer type, by product, where there are some."""
        return {name: writer.clipped for name, writer in self._writers.items() if writer.clipped}

    @property
    def partial(self) -> bool:
        """Whether planes are missing."""
        return any(path != self._writers[p].path for p, path in self.written.items())

    def _samples(self, name: str) -> int:
        return self._products[name].shape[0]
