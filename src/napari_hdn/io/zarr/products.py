"""The images of one job as OME-Zarr: they become whole together, or the job can be gone on with."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_hdn.core.errors import OutputError
from napari_hdn.io.disk import check_room, writing
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.naming import free_path, publish_folder, split_suffix
from napari_hdn.io.products import Product, room_for
from napari_hdn.io.zarr.image import ZarrImage
from napari_hdn.io.zarr.job import other_jobs, take_job

ENDING = ".ome.zarr"


class ZarrProducts:
    """Writes the products of a job, plane by plane; a context manager.

    Leaving it early, by an error or because the user stopped, keeps the planes that are done in a
    hidden folder, from which the very same job goes on; `kept` says so.

    Parameters
    ----------
    folder : Path
    stem : str
        What all names begin with.
    products : mapping of str to Product
    planes : tuple of int
        Sizes of the leading axes that the job walks.
    about : mapping
        Everything that the pixels depend on; see `napari_hdn.io.zarr.job`.
    metadata : ImageMetadata
    made_by : str
        What the images say of themselves.
    pyramid : bool, optional
    rows : int, optional
        As for `napari_hdn.io.zarr.layout.plan_layout`.
    tidy : bool
        Whether to look for other interrupted jobs on the image, which means to list the folder.

    Attributes
    ----------
    written : dict of str to Path
    clipped : dict of str to int
    kept : str
        Where what is done is, after leaving it early.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        products: Mapping[str, Product],
        planes: tuple[int, ...],
        about: Mapping[str, Any],
        *,
        metadata: ImageMetadata,
        made_by: str = "",
        pyramid: bool | None = None,
        rows: int | None = None,
        tidy: bool = True,
    ) -> None:
        self._folder, self._stem, self._products = folder, stem, dict(products)
        self._tidy = tidy
        self._total = int(np.prod(planes, dtype=int))
        self._about = {
            **about,
            "made_by": made_by,
            "pyramid": pyramid,
            "rows": rows,
            "products": {n: [[*p.shape], p.axes, p.dtype.name] for n, p in products.items()},
        }
        self._metadata, self._made_by = metadata, made_by
        self._pyramid, self._rows = pyramid, rows
        self._lost: set[tuple[int, ...]] = set()
        self._bands: dict[tuple[str, tuple[int, ...]], Bands] = {}
        self._clipping: dict[str, int] = defaultdict(int)  # of the plane that is written
        self.written: dict[str, Path] = {}
        self.kept = ""

    def __enter__(self) -> ZarrProducts:
        self._made_folder = not self._folder.exists()
        with writing(self._folder):
            self._job = take_job(self._folder, self._stem, self._about)
        try:
            self.images = self._opened() if self._job.resumed else self._created()
        except BaseException:
            if self._job.done:
                self._job.leave()
            else:
                self._give_back()
            raise
        return self

    @property
    def done(self) -> frozenset[tuple[int, ...]]:
        """Planes that are on the disk."""
        return frozenset(self._job.done)

    @property
    def clipped(self) -> dict[str, int]:
        """Pixels that did not fit an integer type, by product, where there are some."""
        sums: dict[str, int] = defaultdict(int)
        for facts in self._job.done.values():
            for name, count in facts.get("clipped", {}).items():
                sums[name] += count
        return {name: count for name, count in sums.items() if count}

    def remarks(self) -> list[str]:
        """What the user should know before the work begins."""
        told = []
        if self.done:
            told.append(
                f"Going on with an interrupted restoration: {len(self.done)} of {self._total} planes "
                "are done already."
            )
        if not self._tidy:
            return told
        for place, planes in other_jobs(self._folder, self._stem, self._job.folder):
            told.append(
                f"{place} holds {planes} plane{'s' if planes != 1 else ''} of another restoration of "
                "this image that was interrupted: start that one again to go on, or delete the folder."
            )
        return told

    def write(
        self,
        index: tuple[int, ...],
        planes: Mapping[str, np.ndarray],
        first_row: int,
        complete: bool,
    ) -> None:
        """Write rows of a plane: by product (rows, X), or (samples, rows, X); in order, each once.

        When it is complete, its coarser copies are made, and it is noted as done when all of it is
        on the disk.
        """
        for name, rows in planes.items():
            product = self._products[name]
            parts = enumerate(rows) if product.many else [(None, rows)]
            for sample, part in parts:
                own = index if sample is None else (sample, *index)
                self._clipping[name] += self._band(name, own).add(part, first_row)
        if complete:
            self.finish(index, clipped={n: c for n, c in self._clipping.items() if c})
            self._clipping.clear()
            self._bands.clear()

    def finish(self, index: tuple[int, ...], *, clipped: Mapping[str, int]) -> None:
        """Take a plane as done, all of whose pixels have been written by whomever."""
        for image, own in self.planes_of(index):
            image.shrink(own)
            image.flush(own)
        self.note(index, clipped=clipped)

    def note(self, index: tuple[int, ...], *, clipped: Mapping[str, int]) -> None:
        """Note that a plane is on the disk, coarser copies and all, made by whomever."""
        self._job.note(index, clipped=dict(clipped))

    @property
    def job_folder(self) -> Path:
        """Where the unfinished images are, and what else is to be known of them."""
        return self._job.folder

    def give_up(self, index: tuple[int, ...]) -> None:
        """Leave a damaged plane out for good: it is NaN, or 0 in an integer type."""
        self._clipping.clear()
        self._bands.clear()
        for image, own in self.planes_of(index):
            nothing = np.nan if image.dtype.kind == "f" else 0
            height, width = image.layout.levels[0].shape
            rows = image.region[0]
            for first in range(0, height, rows):
                image.write(
                    own, np.full((min(rows, height - first), width), nothing, np.float32), first
                )
            image.shrink(own)
        self._lost.add(index)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        missing = self._total - len(self._job.done) - len(self._lost)
        if error is None and not missing and self._job.done:
            try:
                with writing(self._folder):
                    self._publish()
            except BaseException as other:
                self._end(other)
                raise
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if len(self.written) == len(self._products):
            self._job.remove()
        elif self._job.done:
            self._keep(error)
        else:
            self._give_back()

    @property
    def partial(self) -> bool:
        """Whether planes are missing in what was written."""
        return bool(self.written and self._lost)

    def _created(self) -> dict[str, ZarrImage]:
        self._job.restart()  # of what a killed process left there, nothing was done
        images = {
            name: ZarrImage.create(
                self._job.folder / f"{name}{ENDING}",
                product.shape,
                product.axes,
                product.dtype,
                pyramid=self._pyramid,
                rows=self._rows,
            )
            for name, product in self._products.items()
        }
        needed = sum(image.nbytes for image in images.values())
        check_room(self._folder, needed, room_for(self._stem, self._products))
        return images

    def _opened(self) -> dict[str, ZarrImage]:
        """What an interrupted job left; whatever of it is not whole is done again."""
        try:
            images = {n: ZarrImage(self._job.folder / f"{n}{ENDING}") for n in self._products}
        except OutputError:  # it was killed before it made them all, or while it gave them names
            return self._created()
        self.images = images
        for index in list(self._job.done):
            files = (file for image, own in self.planes_of(index) for file in image.files(own))
            if not all(file.is_file() and file.stat().st_size for file in files):
                del self._job.done[index]
        return images

    def planes_of(self, index: tuple[int, ...]) -> Iterator[tuple[ZarrImage, tuple[int, ...]]]:
        """The images that a plane of the job goes to, and where it is in each."""
        for name, product in self._products.items():
            if not product.many:
                yield self.images[name], index
                continue
            for sample in range(product.shape[product.axes.index("S")]):
                yield self.images[name], (sample, *index)

    def _band(self, name: str, index: tuple[int, ...]) -> Bands:
        if (name, index) not in self._bands:
            image = self.images[name]
            height = image.layout.levels[0].shape[0]
            self._bands[name, index] = Bands(
                partial(image.write, index), image.region[0], 0, height
            )
        return self._bands[name, index]

    def _publish(self) -> None:
        self._job.check()
        targets = {}
        for name, product in self._products.items():
            stem, note = split_suffix(product.path.name)[0], ""
            target = product.path
            if self._lost:
                empty = "NaN" if product.dtype.kind == "f" else "0"
                note = f"{len(self._job.done)} of {self._total} planes, the others are {empty}"
                target = product.path.with_name(f"{stem}-partial{ENDING}")
            targets[name] = target = free_path(target)
            self.images[name].seal(
                name=split_suffix(target.name)[0],
                metadata=self._metadata,
                made_by=self._made_by,
                note=note,
            )
        for name, target in targets.items():
            self.written[name] = publish_folder(self.images[name].path, target)

    def _keep(self, error: BaseException | None) -> None:
        self._job.leave()
        self.kept = (
            f"{len(self._job.done)} of {self._total} planes are done and kept: start the same "
            f"restoration into this folder again to go on with the others, or delete {self._job.folder} "
            "(a hidden folder)."
        )
        if error is not None:
            error.add_note(self.kept)

    def _give_back(self) -> None:
        """Leave neither a folder without a plane behind nor one that nobody made but us."""
        self._job.remove()
        if self._made_folder:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


class Bands:
    """Collects the rows from ``first`` to ``stop`` until they fill a file: none is written twice."""

    def __init__(
        self, write: Callable[[np.ndarray, int], int], step: int, first: int, stop: int
    ) -> None:
        self._write, self._step, self._stop = write, step, stop
        self._rows: list[np.ndarray] = []
        self._first = self._next = first

    def add(self, rows: np.ndarray, first_row: int) -> int:
        """Take the next rows; how many pixels were clipped of those that were written."""
        if first_row != self._next:
            raise OutputError(f"Row {self._next} was to come next, not row {first_row}.")
        self._next += len(rows)
        full = self._next if self._next == self._stop else self._next // self._step * self._step
        clipped = 0
        if full > self._first:
            fitting = len(rows) - (self._next - full)
            self._rows.append(rows[:fitting])
            block = self._rows[0] if len(self._rows) == 1 else np.concatenate(self._rows)
            clipped = self._write(block, self._first)
            self._rows, self._first, rows = [], full, rows[fitting:]
        if len(rows):
            self._rows.append(rows)
        return clipped
