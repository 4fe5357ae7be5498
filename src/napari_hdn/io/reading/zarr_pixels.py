"""The pixels of a Zarr array as an array-like that reads the chunks that are asked for.

A chunk without a file is legal in Zarr: it holds the fill value (most often 0), and writers leave out
chunks that are empty. So it is read as that; what is there and cannot be decoded is damage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_hdn.core.errors import HDNError, ImageFileError
from napari_hdn.io.extras import require
from napari_hdn.io.reading.pixels import Pixels, cover, expand
from napari_hdn.io.reading.recent import Recent
from napari_hdn.io.reading.trouble import FileState, changed, damaged, gone
from napari_hdn.io.reading.zarr_metadata import read_node

_MIB = 2**20
# a plane of light-sheet chunks 64 planes deep decodes 64 planes: they are kept for the next ones
_AT_MOST = int(min(max(psutil.virtual_memory().available / 8, 256 * _MIB), 4096 * _MIB))
_CHUNKS: Recent[np.ndarray] = Recent(_AT_MOST, lambda chunk: chunk.nbytes)

Box = tuple[range, ...]


class ZarrPixels(Pixels):
    """An array in a Zarr folder, version 2 or 3; indexing copies what is asked.

    The chunks read last are kept in memory, for all arrays together. Safe to read from several
    threads; can be sent to other processes.

    Parameters
    ----------
    folder : Path
        Of the array.
    name : str
        In messages.

    Raises
    ------
    ImageFileError
        If it is no array, or one that cannot be decoded here.
    MissingExtraError
        If the package zarr is not installed.
    """

    def __init__(self, folder: Path, name: str) -> None:
        zarr = require("zarr", "zarr", "OME-Zarr images need")
        self._folder = folder.absolute()
        self._name = name
        node = read_node(folder, name)
        if node.kind != "array":
            raise ImageFileError(f"{name} names {folder.name} as its pixels, which is no array.")
        self._metadata = node.metadata
        try:
            self._array = zarr.open_array(self._folder, mode="r")
        except OSError as error:
            raise gone(self._folder, error) from error
        except Exception as error:  # a codec that is not known, numbers that fit nothing
            raise ImageFileError(
                f"{name} cannot be opened: {' '.join(str(error).split()) or type(error).__name__:.200}. "
                "Write it again with another program, as OME-Zarr 0.4 or 0.5."
            ) from error
        self.shape = tuple(int(n) for n in self._array.shape)
        self.dtype = np.dtype(self._array.dtype)
        self.chunks: tuple[int, ...] = tuple(int(n) for n in self._array.chunks)
        self.shards: tuple[int, ...] | None = self._array.shards
        stored = (*self.chunks, *(self.shards or ()))
        if min(stored, default=1) < 1 or max(self.shape, default=0) > sys.maxsize:
            raise ImageFileError(
                f"{name} is damaged: it says of a shape of {self.shape!s:.80} in chunks of "
                f"{self.chunks!s:.80}; copy its metadata again from where it was recorded."
            )
        self._state = self._read_state()
        self._seen: tuple[Path, FileState] | None = None  # a chunk that was read

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = expand(key, self.ndim)
        covered = [cover(k, n) for k, n in zip(keys, self.shape, strict=True)]
        box = tuple(span for span, _ in covered)
        inside = tuple(local for _, local in covered)
        return np.array(self._block(box)[inside], dtype=self.dtype.newbyteorder("="))

    def missing_chunks(self, at_most: int) -> tuple[int, int] | None:
        """How many files of chunks (or shards) are missing, of how many.

        Only looked for where there are at most so many; else only whether all are missing, which
        gives None if there is one.
        """
        stored = self.shards or self.chunks
        counts = [-(-n // c) for n, c in zip(self.shape, stored, strict=True)]
        total = prod(counts)
        try:
            if total > at_most:
                return (total, total) if next(self._chunk_files(), None) is None else None
            return total - sum(1 for _ in islice(self._chunk_files(), total)), total
        except OSError as error:
            raise gone(self._folder, error) from error

    def _chunk_files(self) -> Iterator[Path]:
        """All files that may hold pixels."""
        for folder, _, files in os.walk(self._folder, onerror=_raise):
            yield from (
                Path(folder, f) for f in files if not f.startswith(".") and f != "zarr.json"
            )

    def _block(self, box: Box) -> np.ndarray:
        """The pixels of a box, from chunks that are kept, or read with all that shares them."""
        grid = [
            range(span.start // c, -(-span.stop // c)) if span else range(0)
            for span, c in zip(box, self.chunks, strict=True)
        ]
        numbers = list(product(*grid))
        whole = prod(self.chunks) * len(numbers) * self.dtype.itemsize
        if not numbers or whole > _CHUNKS.at_most // 2:
            return self._fetch(box)
        out = np.empty([len(span) for span in box], self.dtype)
        kept = {number: _CHUNKS.find(self, number) for number in numbers}
        if any(chunk is None for chunk in kept.values()):
            needed = _around([n for n, chunk in kept.items() if chunk is None])
            wide = self._pixels_of(needed)
            read = self._fetch(wide)
            for number in product(*needed):
                here = self._pixels_of([range(n, n + 1) for n in number])
                chunk = read[_within(here, wide)].copy()  # a view would keep all of it in memory
                _CHUNKS.keep(self, number, chunk)
                kept[number] = chunk
        for number in numbers:
            here = self._pixels_of([range(n, n + 1) for n in number])
            common = tuple(
                range(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(here, box, strict=True)
            )
            out[_within(common, box)] = kept[number][_within(common, here)]  # type: ignore[index]
        return out

    def _pixels_of(self, numbers: Sequence[range]) -> Box:
        """Which pixels a range of chunks holds."""
        return tuple(
            range(span.start * c, min(span.stop * c, n))
            for span, c, n in zip(numbers, self.chunks, self.shape, strict=True)
        )

    def _fetch(self, box: Box) -> np.ndarray:
        """Read a box from the files."""
        selection = tuple(slice(span.start, span.stop) for span in box)
        try:
            self._check_unchanged()
            pixels = np.asarray(self._array[selection])
            # where a drive is gone chunks seem to be empty
            self._check_unchanged()
            self._remember(box)
        except HDNError:
            raise
        except OSError as error:
            raise gone(self._folder, error) from error
        except Exception as error:  # each codec has exceptions of its own
            raise self._damage(box, error) from error
        return pixels

    def _damage(self, box: Box, error: Exception) -> ImageFileError:
        """Find out which chunk it is."""
        if isinstance(error, MemoryError):
            return damaged(self._folder, error)
        grid = [range(s.start // c, -(-s.stop // c)) for s, c in zip(box, self.chunks, strict=True)]
        for number in product(*grid):
            selection = tuple(
                slice(s.start, s.stop) for s in self._pixels_of([range(n, n + 1) for n in number])
            )
            try:
                self._array[selection]
            except Exception as wrong:
                first = tuple(s.start for s in selection)
                reason = " ".join(str(wrong).split()) or type(wrong).__name__
                return ImageFileError(
                    f"{self._name} is damaged: its chunk {self._key(first)}, which begins at pixel "
                    f"{', '.join(map(str, first))}, cannot be decoded ({reason:.160}). Copy "
                    f"{self._folder / self._key(first)} again from where it was recorded, or go on "
                    "without this plane."
                )
        return damaged(self._folder, error)  # whole when read once more: a network's hiccup

    @property
    def folder(self) -> Path:
        """Of the array."""
        return self._folder

    def _key(self, first: tuple[int, ...]) -> str:
        """The name of the file that holds a pixel."""
        stored = self.shards or self.chunks
        at = tuple(p // c for p, c in zip(first, stored, strict=True))
        return str(self._array.metadata.encode_chunk_key(at))

    def _read_state(self) -> FileState:
        """Of the metadata, which are written anew where an array is replaced."""
        name = "zarr.json" if self._metadata.get("zarr_format") == 3 else ".zarray"
        try:
            return FileState.of((self._folder / name).stat())
        except OSError as error:
            raise gone(self._folder, error) from error

    def _check_unchanged(self) -> None:
        """That the array is the one that was opened, or the same recording, longer now."""
        state = self._read_state()
        if state == self._state:
            return
        now = read_node(self._folder, self._name).metadata
        shape = now.get("shape")
        if not isinstance(shape, list) or len(shape) != self.ndim:
            shape = [0] * self.ndim
        if any(new < old for new, old in zip(shape, self.shape, strict=True)):
            raise changed(self._folder, f"its shape was {list(self.shape)}, now {shape}")
        if _encoding(now) != _encoding(self._metadata):
            raise changed(self._folder, "its type, chunks or compression are others now")
        if self._seen is not None and _state_of(self._seen[0]) != self._seen[1]:
            raise changed(self._folder, "its metadata and pixels were written anew")
        self._state = state

    def _remember(self, box: Box) -> None:
        """Which file was read, by which a replaced array is known."""
        file = self._folder / self._key(tuple(span.start for span in box))
        state = _state_of(file)
        if state is not None:
            self._seen = file, state


def _state_of(file: Path) -> FileState | None:
    try:
        return FileState.of(file.stat())
    except OSError:
        return None


def _encoding(metadata: dict[str, Any]) -> dict[str, Any]:
    """All but what may change while an image is recorded."""
    return {k: v for k, v in metadata.items() if k not in ("attributes", "shape")}


def _around(numbers: list[tuple[int, ...]]) -> tuple[range, ...]:
    """The box of chunks that holds all of them."""
    return tuple(range(min(axis), max(axis) + 1) for axis in zip(*numbers, strict=True))


def _within(box: Box, outer: Box) -> tuple[slice, ...]:
    """Where a box is in one that holds it."""
    return tuple(
        slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True)
    )


def _raise(error: OSError) -> None:
    raise error
