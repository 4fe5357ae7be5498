"""An OME-Zarr image that is written region by region, by one process or by several.

Until `ZarrImage.seal` it has no OME metadata: no reader takes it for an image. What several processes
must know of each other is the layout alone, which is in the store: each opens it by its path and
writes regions that share no file with those of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.core.errors import ImageError, OutputError
from napari_hdn.core.text import readable
from napari_hdn.io.disk import settle, writing
from napari_hdn.io.extras import require
from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.pixels import converted, file_dtype
from napari_hdn.io.zarr.layout import plan_layout
from napari_hdn.io.zarr.ome import Window, ome_attributes, window_of

if TYPE_CHECKING:
    import zarr as _zarr

KEY = "napari-hdn"  # of our own attributes


def need_zarr() -> Any:
    """The package zarr.

    Raises
    ------
    MissingExtraError
        If it is not installed, or yaozarrs is not.
    """
    require("yaozarrs", "zarr", "Writing OME-Zarr needs")
    return require("zarr", "zarr", "Writing OME-Zarr needs")


class ZarrImage:
    """An image in a folder; made by `create`, or opened by its path.

    Parameters
    ----------
    path : Path
        Of a folder that `create` made.

    Raises
    ------
    OutputError
        If there is none.
    """

    def __init__(self, path: Path) -> None:
        zarr = need_zarr()
        self.path = path
        try:
            self._group: _zarr.Group = zarr.open_group(path, mode="r+", zarr_format=3)
            about: Any = self._group.attrs[KEY]
            self.layout = plan_layout(
                tuple(about["shape"]),
                about["axes"],
                pyramid=about["pyramid"],
                rows=about["rows"],
            )
            arrays: list[Any] = [self._group[str(k)] for k in range(len(self.layout.levels))]
            # files that hold zeros alone are written, too: what is missing was never done
            self._arrays = [a.with_config({"write_empty_chunks": True}) for a in arrays]
        except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
            raise OutputError(f"{path} is no image that napari-hdn began to write.") from error
        self.dtype = np.dtype(self._arrays[0].dtype)

    @classmethod
    def create(
        cls,
        path: Path | str,
        shape: tuple[int, ...],
        axes: str,
        dtype: Any,
        *,
        pyramid: bool | None = None,
        rows: int | None = None,
    ) -> ZarrImage:
        """Make a folder with nothing but the layout in it.

        Parameters
        ----------
        path : Path or str
            Must not exist.
        shape : tuple of int
            One size per axis.
        axes : str
            One letter of ``STCZYX`` per axis.
        dtype : dtype
            Floats are kept as 32 bits, integers of 8 to 32 bits as they are.
        pyramid, rows
            As for `napari_hdn.io.zarr.layout.plan_layout`.

        Raises
        ------
        OutputError
            If it exists or cannot be written.
        MissingExtraError
            If zarr is not installed.
        """
        zarr = need_zarr()
        path, dtype = Path(path), file_dtype(dtype)
        layout = plan_layout(tuple(shape), axes, pyramid=pyramid, rows=rows)
        codec = zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            about = {
                "axes": axes.upper(),
                "shape": [int(n) for n in shape],
                "pyramid": len(layout.levels) > 1,
                "rows": rows,
                "unfinished": True,
            }
            group = zarr.create_group(store=path, zarr_format=3, attributes={KEY: about})
            ones = (1,) * len(layout.axes[:-2])
            for level, cut in enumerate(layout.levels):
                group.create_array(
                    str(level),
                    shape=(*layout.shape[:-2], *cut.shape),
                    dtype=dtype,
                    chunks=(*ones, *cut.chunk),
                    shards=(*ones, *cut.file) if cut.sharded else None,
                    compressors=codec,
                    fill_value=np.nan if dtype.kind == "f" else 0,
                    dimension_names=list(layout.axes.lower()),
                )
        return cls(path)

    @property
    def region(self) -> tuple[int, int]:
        """(Y, X) pixels of a file: regions that begin at multiples of it share no file."""
        return self.layout.levels[0].file

    @property
    def nbytes(self) -> int:
        """Of all pixels, before compression, those of the pyramid included."""
        planes = prod(self.layout.shape[:-2])
        return int(planes * sum(prod(c.shape) for c in self.layout.levels) * self.dtype.itemsize)

    def write(
        self, index: tuple[int, ...], block: np.ndarray, first_row: int = 0, first_column: int = 0
    ) -> int:
        """Write a piece of a plane.

        Parameters
        ----------
        index : tuple of int
            Of the plane, along the leading axes in the caller's order.
        block : ndarray
            (Y, X); rounded and clipped for an integer type.
        first_row, first_column : int
            Multiples of `region` where other processes write to the same plane.

        Returns
        -------
        int
            How many pixels were clipped.
        """
        height, width = self.layout.levels[0].shape
        ys = slice(first_row, first_row + block.shape[0])
        xs = slice(first_column, first_column + block.shape[1])
        if block.ndim != 2 or ys.stop > height or xs.stop > width:
            raise ImageError(
                f"Pixels of {block.shape} from ({first_row}, {first_column}) on do not fit a plane of "
                f"{height} x {width} (Y, X)."
            )
        pixels, clipped = converted(block, self.dtype)
        with writing(self.path):
            self._arrays[0][(*self.layout.place(index), ys, xs)] = pixels
        return clipped

    def read(self, index: tuple[int, ...], level: int = 0) -> np.ndarray:
        """A plane that was written, (Y, X)."""
        return np.asarray(self._arrays[level][self.layout.place(index)])

    def shrink(self, index: tuple[int, ...]) -> None:
        """Make the coarser copies of a plane that is complete, file by file: memory stays flat."""
        place = self.layout.place(index)
        for level in range(1, len(self.layout.levels)):
            finer, coarser = self._arrays[level - 1], self._arrays[level]
            for ys, xs in _squares(self.layout.levels[level].shape, self.layout.levels[level].file):
                wide = (slice(2 * ys.start, 2 * ys.stop), slice(2 * xs.start, 2 * xs.stop))
                with writing(self.path):
                    small = halved(np.asarray(finer[(*place, *wide)]))
                    coarser[(*place, ys, xs)] = small

    def files(self, index: tuple[int, ...], rows: slice | None = None) -> Iterator[Path]:
        """The files of a plane, all levels; or of some of its rows, the finest level."""
        place = self.layout.place(index)
        for level, cut in enumerate(self.layout.levels[: None if rows is None else 1]):
            encoding = self._arrays[level].metadata.chunk_key_encoding
            counts = [-(-n // step) for n, step in zip(cut.shape, cut.file, strict=True)]
            downwards = range(counts[0])
            if rows is not None:
                downwards = range(rows.start // cut.file[0], -(-rows.stop // cut.file[0]))
            for y, x in product(downwards, range(counts[1])):
                yield self.path / str(level) / encoding.encode_chunk_key((*place, y, x))

    def flush(self, index: tuple[int, ...], rows: slice | None = None) -> None:
        """See that a plane, or some of its rows, is on the disk, so that it outlives a power cut."""
        with writing(self.path):
            for file in self.files(index, rows):
                with file.open("r+b") as opened:
                    settle(opened)

    def seal(
        self,
        *,
        name: str,
        metadata: ImageMetadata = NO_METADATA,
        made_by: str = "",
        note: str = "",
    ) -> None:
        """Make it an image: write the OME metadata, remove what a killed process left in it.

        Parameters
        ----------
        name : str
            Of the image.
        metadata : ImageMetadata, optional
        made_by : str
            What it says of itself.
        note : str
            What is missing.
        """
        with writing(self.path):
            for rest in self.path.rglob("*.partial"):  # of zarr, which renames them
                rest.unlink(missing_ok=True)
            about = {k: v for k, v in self._about.items() if k != "unfinished"}
            about |= {"made_by": made_by} if made_by else {}
            about |= {"partial": note} if note else {}
            if self.layout.samples:
                about["samples"] = self.layout.samples
            ome = ome_attributes(self.layout, metadata, readable(name), list(self._windows()))
            self._group.attrs.put({"ome": ome, KEY: about})

    @cached_property
    def _about(self) -> dict[str, Any]:
        about: Any = self._group.attrs[KEY]
        return dict(about)

    def _windows(self) -> Iterator[Window]:
        """How to show each channel, by the coarsest copy of the plane in the middle."""
        leading = self.layout.axes[:-2]
        middle = [n // 2 for n in self.layout.shape[:-2]]
        channels = self.layout.shape[leading.index("C")] if "C" in leading else 1
        for channel in range(channels):
            if "C" in leading:
                middle[leading.index("C")] = channel
            rows, columns = (slice(0, 2048),) * 2
            yield window_of(np.asarray(self._arrays[-1][(*middle, rows, columns)]))


def halved(plane: np.ndarray) -> np.ndarray:
    """The mean of 2 x 2 pixels each, in the same type; an odd last row or column is on its own."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    mean = blocks.mean(axis=(1, 3), dtype=np.float64)
    return (mean if plane.dtype.kind == "f" else np.rint(mean)).astype(plane.dtype)


def _squares(shape: tuple[int, int], step: tuple[int, int]) -> Iterable[tuple[slice, slice]]:
    ys, xs = (
        [slice(at, min(at + by, size)) for at in range(0, size, by)]
        for size, by in zip(shape, step, strict=True)
    )
    return product(ys, xs)
