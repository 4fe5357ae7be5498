"""The pixels of a TIFF series as an array-like that reads only what is asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_hdn.core.errors import HDNError, ImageFileError
from napari_hdn.io.reading.flat import FlatPixels
from napari_hdn.io.reading.pixels import Pixels, expand
from napari_hdn.io.reading.recent import Recent
from napari_hdn.io.reading.trouble import SameFile, damaged, gone, truncated

# over all files together: a folder may hold thousands
_PAGES: Recent[np.ndarray] = Recent(128 * 2**20, lambda page: page.nbytes)


def open_array(series: tifffile.TiffPageSeries, path: Path) -> Any:
    """Read a series where its pixels are one behind the other, else page by page.

    Raises
    ------
    ImageFileError
        If the file is shorter than its header says.
    """
    file = series.parent
    if series.dataoffset is None:
        return LazyPages(series, path)
    dtype = np.dtype(file.byteorder + series.dtype.char)
    expected = series.dataoffset + prod(series.shape) * dtype.itemsize
    # without frames there are no pixels that could be missing; that is told as it is
    if expected > file.filehandle.size and prod(series.shape):
        raise truncated(path, f"it has {file.filehandle.size:,} of {expected:,} bytes")
    return FlatPixels(path, dtype, series.dataoffset, series.shape)


@contextmanager
def reported_errors() -> Iterator[list[str]]:
    """What tifffile logs in this thread: it tells of damage there and goes on with the rest."""
    messages: list[str] = []
    thread = threading.get_ident()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                messages.append(record.getMessage())

    logger = logging.getLogger("tifffile")
    handler = Collect(logging.ERROR)
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


class LazyPages(Pixels):
    """A compressed or scattered TIFF series; indexing reads the pages that are needed, no others.

    The pages read last are kept, up to 128 MiB for all files. Safe to read from several threads.
    The file is open only while a page is read, so that thousands of files can be used at once.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        Of an open file; it may be closed afterwards.
    path : Path
        Named in messages.
    """

    def __init__(self, series: tifffile.TiffPageSeries, path: Path) -> None:
        self.shape: tuple[int, ...] = tuple(series.shape)
        self.dtype: np.dtype = np.dtype(series.dtype)
        self._series = series
        self._path = path
        self._lock = threading.Lock()
        self._page_axes = self._count_page_axes(series.keyframe.shape)
        self._lead = self.shape[: len(self.shape) - self._page_axes]
        if self.size:
            self._check_page(0)
            self._check_page(prod(self._lead) - 1)
        self._files = self._known_files()

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = expand(key, len(self.shape))
        lead, inner = keys[: len(self._lead)], keys[len(self._lead) :]
        grids = [np.atleast_1d(np.arange(n)[k]) for n, k in zip(self._lead, lead, strict=True)]
        pages = [
            self._page(int(np.ravel_multi_index(at, self._lead)) if at else 0)[inner]
            for at in _product(grids)
        ]
        kept = tuple(
            len(g) for g, k in zip(grids, lead, strict=True) if not isinstance(k, int | np.integer)
        )
        if not pages:  # an empty slice
            inside = np.empty(self.shape[len(self._lead) :], self.dtype)[inner].shape
            return np.empty(kept + inside, self.dtype)
        if not kept:
            return pages[0]
        return np.stack(pages).reshape(kept + pages[0].shape)

    def _page(self, number: int) -> np.ndarray:
        with self._lock:
            page = _PAGES.find(self, number)
            if page is None:
                page = self._read(number)
                _PAGES.keep(self, number, page)
        return page

    def _read(self, number: int) -> np.ndarray:
        try:
            with reported_errors(), self._opened(self._series.parent.filehandle):
                page = self._series.pages[number]
                if page is None:
                    raise truncated(self._path, f"plane {number + 1} is missing")
                with self._opened(page.parent.filehandle):  # OME series may span files
                    pixels = page.asarray()
            return np.asarray(pixels).reshape(self.shape[len(self._lead) :])
        except HDNError:
            raise
        except OSError as error:
            if error.errno is None:  # not from the system
                raise damaged(self._path, error, f"plane {number + 1}: ") from error
            raise gone(Path(error.filename or self._path), error) from error
        except Exception as error:  # damage shows in any of a dozen types
            raise damaged(self._path, error, f"plane {number + 1}: ") from error

    def _known_files(self) -> dict[str, SameFile]:
        """Of each file how to know it again: by some bytes of its first and last page."""
        pages = self._series.pages
        ends = pages if self._series.is_multifile else [pages[0], pages[-1]] if self.size else []
        places: dict[str, list[tuple[int, int]]] = {}
        for page in ends:
            if page is not None and page.dataoffsets:
                own = places.setdefault(page.parent.filehandle.path, [])
                place = page.dataoffsets[0], min(page.databytecounts[0], 1024)
                own[1:] = [place]  # the first, and the last so far
        return {path: SameFile(Path(path), own) for path, own in places.items()}

    @contextmanager
    def _opened(self, handle: tifffile.FileHandle) -> Iterator[None]:
        """Open a file handle for a moment, or leave it open if it is; it must be the same file."""
        if not handle.closed:
            yield
            return
        handle.open()
        try:
            known = self._files.get(handle.path)
            if known is not None:
                known.check(handle)
            yield
            if known is not None:
                known.check(handle)
        finally:
            handle.close()

    def _count_page_axes(self, page_shape: tuple[int, ...]) -> int:
        """How many of the trailing axes lie within one page."""
        for count in range(1, len(self.shape) + 1):
            if prod(self.shape[-count:]) == prod(page_shape) and count >= min(2, len(self.shape)):
                return count
        raise ImageFileError(
            f"{self._path.name} has pages of {page_shape} in a series of {self.shape}, which "
            "do not fit together; save it as OME-TIFF in Fiji first."
        )

    def _check_page(self, number: int) -> None:
        """Of one page in a file that is open, find out whether all its pixels can be there."""
        page = self._series.pages[number]
        if page is None:
            raise truncated(self._path, f"plane {number + 1} of {prod(self._lead)} is missing")
        handle, keyframe = page.parent.filehandle, page.keyframe
        pieces = prod(keyframe.chunked)
        if not keyframe.is_contiguous and pieces > len(page.dataoffsets):  # tifffile reads 0 there
            raise truncated(
                self._path,
                f"plane {number + 1} has {len(page.dataoffsets):,} of {pieces:,} strips or tiles",
            )
        ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not handle.closed and max(ends, default=0) > handle.size:
            raise truncated(self._path, f"it has {handle.size:,} of {max(ends):,} bytes")


def _product(grids: list[np.ndarray]) -> Iterator[tuple[int, ...]]:
    for at in np.ndindex(*(len(g) for g in grids)):
        yield tuple(int(g[i]) for g, i in zip(grids, at, strict=True))
