"""An OME-Zarr that many processes write to: regions by the workers, what is done by the client.

A worker that restores a whole plane makes its coarser copies, too. Where a plane is cut, the client
makes these when all parts are there, and until then a journal beside the unfinished images has the
parts that are on the disk.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from napari_hdn.core.restoring.regions import Region
from napari_hdn.io.cluster.parcels import Done
from napari_hdn.io.disk import writing
from napari_hdn.io.zarr.image import ZarrImage
from napari_hdn.io.zarr.products import Bands, ZarrProducts

_JOURNAL = Path("regions") / "done.jsonl"  # in a folder, which is removed where a job begins anew


@dataclass(frozen=True)
class ZarrOutput:
    """Images by product, as they are sent to workers.

    Attributes
    ----------
    paths : tuple of (str, str)
        Product and folder.
    height : int
        Of a plane, in pixels.
    """

    paths: tuple[tuple[str, str], ...]
    height: int

    def begin(self, region: Region) -> RegionFiles:
        """What takes in the rows of a region."""
        images = {product: _image(path) for product, path in self.paths}
        return RegionFiles(images, region, self.height)


@lru_cache(maxsize=32)
def _image(path: str) -> ZarrImage:
    return ZarrImage(Path(path))


class RegionFiles:
    """The files of a region: each is written once, when its rows are there."""

    def __init__(self, images: Mapping[str, ZarrImage], region: Region, height: int) -> None:
        self._images, self._region = images, region
        self._whole = region.start == 0 and region.stop == height
        self._bands: dict[tuple[str, tuple[int, ...]], Bands] = {}
        self._clipped: Counter[str] = Counter()

    def write(self, first_row: int, planes: Mapping[str, np.ndarray]) -> None:
        """Take the next rows: by product (rows, X), or (samples, rows, X)."""
        for product, rows in planes.items():
            for number, part in enumerate(rows) if rows.ndim == 3 else [(None, rows)]:
                own = self._region.index if number is None else (number, *self._region.index)
                self._clipped[product] += self._band(product, own).add(part, first_row)

    def end(self) -> dict[str, int]:
        """See that all is on the disk; how many pixels were clipped, by product."""
        for product, index in self._bands:
            image = self._images[product]
            if self._whole:
                image.shrink(index)
                image.flush(index)
            else:
                image.flush(index, self._region.rows)
        return {product: count for product, count in self._clipped.items() if count}

    def _band(self, product: str, index: tuple[int, ...]) -> Bands:
        if (product, index) not in self._bands:
            image, region = self._images[product], self._region
            write = partial(image.write, index)
            self._bands[product, index] = Bands(write, image.region[0], region.start, region.stop)
        return self._bands[product, index]


class ZarrTarget:
    """The client's side of it.

    Parameters
    ----------
    products : ZarrProducts
        Entered.
    regions : sequence of Region
        All of the stack.
    height : int
        Of a plane, in pixels.
    """

    def __init__(self, products: ZarrProducts, regions: Sequence[Region], height: int) -> None:
        self._products, self._height = products, height
        self._parts: dict[tuple[int, ...], set[tuple[int, int]]] = defaultdict(set)
        for region in regions:
            self._parts[region.index].add((region.start, region.stop))
        self._journal = products.job_folder / _JOURNAL
        self._there = self._read()
        self.done: Collection[Region] = frozenset(
            region
            for region in regions
            if region.index in products.done
            or (region.start, region.stop) in self._there[region.index]
        )
        for index in list(self._there):  # the last part was noted, and then the power was cut
            if index not in products.done:
                self.finish(index)

    @property
    def output(self) -> ZarrOutput:
        """What workers write with."""
        paths = {n: str(image.path.absolute()) for n, image in self._products.images.items()}
        return ZarrOutput(tuple(paths.items()), self._height)

    def mark(self, done: Done) -> None:
        """Note that a region is on the disk; of the last of a plane, that the plane is."""
        region = done.result.region
        if len(self._parts[region.index]) == 1:
            self._products.note(region.index, clipped=done.clipped)
            return
        rows = (region.start, region.stop)
        self._note(region.index, rows=rows, clipped=dict(done.clipped))
        self._there[region.index][rows] = done.clipped
        self.finish(region.index)

    def finish(self, index: tuple[int, ...]) -> None:
        """Take a plane as done if all its parts are there."""
        there = self._there[index]
        if set(there) >= self._parts[index]:
            clipped = sum((Counter(c) for c in there.values()), Counter())
            self._products.finish(index, clipped=clipped)

    def forget(self, index: tuple[int, ...]) -> None:
        """Forget what is there of a plane that is given up, and so will be empty."""
        if self._there.pop(index, None):
            self._note(index, lost=True)

    def _note(self, index: tuple[int, ...], **facts: object) -> None:
        with writing(self._journal):
            self._journal.parent.mkdir(exist_ok=True)
            with self._journal.open("ab", buffering=0) as file:
                line = json.dumps({"plane": list(index), **facts})
                file.write(f"\n{line}\n".encode())  # a line of its own, whatever a killed one left

    def _read(self) -> dict[tuple[int, ...], dict[tuple[int, int], Mapping[str, int]]]:
        found: dict[tuple[int, ...], dict[tuple[int, int], Mapping[str, int]]] = defaultdict(dict)
        for facts in _lines(self._journal):
            with suppress(KeyError, TypeError, ValueError):
                index = tuple(int(i) for i in facts["plane"])
                if facts.get("lost"):
                    found.pop(index, None)
                    continue
                start, stop = facts["rows"]
                if self._on_disk(index, slice(start, stop)):
                    found[index][start, stop] = dict(facts["clipped"])
        return found

    def _on_disk(self, index: tuple[int, ...], rows: slice) -> bool:
        return all(
            file.is_file() and file.stat().st_size > 0
            for image, own in self._products.planes_of(index)
            for file in image.files(own, rows)
        )


def _lines(path: Path) -> Iterator[dict]:
    if path.is_file():
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                facts = json.loads(line)
                if isinstance(facts, dict):
                    yield facts
