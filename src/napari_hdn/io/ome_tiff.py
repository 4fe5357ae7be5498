"""Writing OME-TIFF: plane by plane, never over an existing file, never half a file."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tifffile

from napari_hdn.core.axes import ImageStack, check_axes
from napari_hdn.core.errors import ImageError, OutputError
from napari_hdn.core.lock import NoLocksError, is_free
from napari_hdn.core.text import readable
from napari_hdn.io.disk import check_room, settle, writing
from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.naming import publish, split_suffix
from napari_hdn.io.pixels import converted, file_dtype

# OME names T, C, Z, Y, X only. tifffile writes its axis Q as a "Modulo" annotation, which splits
# another axis in two: programs that do not know it see samples as more time points, and
# `open_images` reads them as S again.
_OME_SAMPLE = "Q"


def write_ome_tiff(
    path: Path | str,
    image: Any,
    axes: str,
    *,
    metadata: ImageMetadata = NO_METADATA,
    dtype: Any = None,
    name: str | None = None,
    description: str = "",
    planes: Iterable[np.ndarray] | None = None,
) -> int:
    """Write an image as OME-TIFF, plane by plane.

    Parameters
    ----------
    path : Path or str
        Must not exist; see `napari_hdn.io.naming.free_path` for one that does not.
    image : array-like
        Anything with ``shape``, ``dtype`` and indexing; read one plane at a time.
    axes : str
        One letter of ``STCZYX`` per axis of ``image``. Y and X become the last two, the others keep
        their order. S (sample), which OME does not know, is stored as its "modulo" axis.
    metadata : ImageMetadata, optional
        Pixel size, time step and channel names.
    dtype : dtype, optional
        Of the file: by default that of ``image`` (64-bit floats become 32-bit). For an integer
        type, values are rounded, and clipped to what it can hold.
    name : str, optional
        Of the image in the metadata.
    description : str, optional
        In the metadata.
    planes : iterable of (Y, X) arrays, optional
        Take the pixels from here, in the order of ``image``'s leading axes; then ``image`` only
        tells ``shape`` and ``dtype``.

    Returns
    -------
    int
        How many pixels were clipped.

    Raises
    ------
    OutputError
        If the file exists or cannot be written; then nothing is left behind.
    """
    stack = ImageStack(image, axes)
    writer = OmeTiffWriter(
        path,
        tuple(image.shape),
        axes,
        image.dtype if dtype is None else dtype,
        metadata=metadata,
        name=name,
        description=description,
        rescue=False,
    )
    with writer:
        if planes is None:
            planes = (_read_plane(stack, index) for index in stack.indices())
        for index, plane in zip(stack.indices(), planes, strict=True):
            writer.write(index, plane)
    return writer.clipped


class OmeTiffWriter:
    """A file that is filled plane by plane, in any order, and appears when it is finished.

    Used as a context manager: leaving it early, also by an error, keeps the planes that are complete,
    in a file whose name says ``partial``, which a note at the error names. Only a
    `KeyboardInterrupt` gives them up.

    Parameters
    ----------
    path : Path or str
        Must not exist. The pixels are written to a hidden file beside it until it is finished.
    shape : tuple of int
        One size per axis.
    axes : str
        One letter of ``STCZYX`` per axis.
    dtype : dtype
        Of the file; unsigned or signed integers of 8 to 32 bits, or floats (kept as 32 bits).
    metadata, name
        As for `write_ome_tiff`.
    description : str, optional
        In the metadata.
    rescue : bool
        False: an error leaves nothing behind, and so does a file that another program has put in
        this place meanwhile, while by default the next free name is taken.

    Attributes
    ----------
    written : Path or None
        Where the pixels are after the context was left; None if there are none.
    clipped : int
        How many pixels did not fit the integer type and were clipped.

    Raises
    ------
    OutputError
        If the file exists, the disk is full, or the folder cannot be written to.
    """

    def __init__(
        self,
        path: Path | str,
        shape: tuple[int, ...],
        axes: str,
        dtype: Any,
        *,
        metadata: ImageMetadata = NO_METADATA,
        name: str | None = None,
        description: str = "",
        rescue: bool = True,
    ) -> None:
        self.path = Path(path)
        axes = check_axes(axes, shape)
        sizes = dict(zip(axes, shape, strict=True))
        self._lead = "".join(a for a in axes if a not in "YX")  # of the caller's indices
        self._axes = _ome_order(self._lead) + "YX"  # of the file
        self._shape = tuple(sizes[a] for a in self._axes)
        self._dtype = file_dtype(dtype)
        self._metadata = metadata
        self._name = readable(name or split_suffix(self.path.name)[0])
        self._description = description
        self._rescue = rescue
        self._temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.tmp")
        self.clipped = 0
        self.written: Path | None = None

    def __enter__(self) -> Self:
        if self.path.exists():
            raise OutputError(f"{self.path} exists already; choose another name or folder.")
        self._made_folder = not self.path.parent.exists()
        try:
            with writing(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                check_room(self.path.parent, self.nbytes, self.path.name)
                # not before: of billions of planes there is room for neither the pixels nor these
                self._rows = np.zeros(self._shape[:-2], np.int64)  # written of each plane
                self._lost = np.zeros(self._shape[:-2], bool)  # planes that were given up
                self._offset = self._write_header(self._temporary, self._shape)
                self._file = self._temporary.open("r+b", buffering=0)
                with contextlib.suppress(NoLocksError):
                    is_free(self._file)  # ours as long as it is open; see `io.leftovers`
        except BaseException:
            self._tidy()
            raise
        return self

    @property
    def nbytes(self) -> int:
        """Of the pixels in the file."""
        return int(prod(self._shape) * self._dtype.itemsize)

    @property
    def partial(self) -> bool:
        """Whether planes are missing in what was written."""
        return self.written is not None and not self._done.all()

    @property
    def _done(self) -> np.ndarray:
        return self._rows >= self._shape[-2]

    def write(self, index: tuple[int, ...], plane: np.ndarray, first_row: int = 0) -> None:
        """Write one (Y, X) plane, or some of its rows.

        Parameters
        ----------
        index : tuple of int
            Along the leading axes in the caller's order.
        plane : ndarray
            (rows, X), from ``first_row`` on; each row once.
        first_row : int
        """
        self._rows[self._put(index, plane, first_row)] += len(plane)

    def give_up(self, index: tuple[int, ...]) -> None:
        """Leave a plane out for good: it is NaN, or 0 in an integer type, and the file partial."""
        nothing = np.nan if self._dtype.kind == "f" else 0
        own = self._put(index, np.full(self._shape[-2:], nothing, np.float32), 0)
        self._rows[own], self._lost[own] = 0, True

    def _put(self, index: tuple[int, ...], plane: np.ndarray, first_row: int) -> tuple[int, ...]:
        height, width = self._shape[-2:]
        if plane.ndim != 2 or plane.shape[1] != width or first_row + len(plane) > height:
            raise ImageError(f"A plane of {plane.shape} does not fit {self._shape[-2:]} (Y, X).")
        at = dict(zip(self._lead, index, strict=True))
        own = tuple(at[a] for a in self._axes[:-2])
        number = int(np.ravel_multi_index(own, self._rows.shape)) if own else 0
        pixels, clipped = converted(plane, self._dtype)
        data = np.ascontiguousarray(pixels).tobytes()
        with writing(self.path):
            self._check_there()
            row = width * self._dtype.itemsize
            self._file.seek(self._offset + (number * height + first_row) * row)
            view = memoryview(data)
            while view:  # one write may be cut short at the end of a disk
                view = view[self._file.write(view) :]
        self.clipped += clipped
        return own

    def _check_there(self) -> None:
        """See that what is written can still be given its name: its drive may have been unmounted."""
        try:
            os.stat(self._temporary)
        except FileNotFoundError as error:
            raise OutputError(
                f"{self.path.parent} could not be written: what was done there before is gone; see "
                "that the disk or network drive is connected, then start again."
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                with writing(self.path):
                    settle(self._file)
                    self._file.close()
                    self.written = self._keep()
            else:
                with contextlib.suppress(OSError):  # the error that came first counts
                    self._file.close()
                if self._rescue and not isinstance(error, KeyboardInterrupt):
                    self._keep_despite(error)
        finally:
            self._tidy()

    def _tidy(self) -> None:
        """Leave neither a nameless file behind nor an empty folder that nobody made but us."""
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)
        if self.written is None and self._made_folder:
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    def _keep(self) -> Path | None:
        """Give the file a name, if there is a plane in it."""
        if self._done.all():
            return publish(self._temporary, self.path, numbered=self._rescue)
        return self._keep_partial() if self._rows.any() else None

    def _keep_despite(self, error: BaseException) -> None:
        try:
            self.written = self._keep()
        except (OSError, OutputError) as other:
            error.add_note(f"The planes that were done could not be kept: {other}")
            return
        if self.written is not None:
            planes = f"{self._done.sum()} of {self._done.size} planes were done"
            begun = int(self._rows[~self._done].sum())
            rows = f", and {begun} rows of the next," if begun else ""
            error.add_note(f"{planes}{rows} and are in {self.written}.")

    def _write_header(self, path: Path, shape: tuple[int, ...], note: str = "") -> int:
        """Write a file with all metadata and empty pixels; return where the pixels begin."""
        metadata: dict[str, Any] = {
            "axes": self._axes.replace("S", _OME_SAMPLE),
            "Name": self._name,
            "TypeDescription": {_OME_SAMPLE: "sample"},
        }
        if told := "; ".join(filter(None, (self._description, note))):
            metadata["Description"] = told
        metadata |= self._facts(shape)
        big = prod(shape) * self._dtype.itemsize > 2**32 - 2**25
        with tifffile.TiffWriter(path, ome=True, bigtiff=big) as file:
            offset, _ = file.write(
                None,
                shape=shape,
                dtype=self._dtype,
                photometric="minisblack",
                metadata=metadata,
                returnoffset=True,
            )
        return int(offset)

    def _facts(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Pixel size, time step and channel names, as tifffile takes them."""
        known = self._metadata
        facts: dict[str, Any] = {}
        for axis, size in known.pixel_size_um.items():
            if axis.upper() in "XYZ":
                facts[f"PhysicalSize{axis.upper()}"] = float(size)
                facts[f"PhysicalSize{axis.upper()}Unit"] = "µm"
        if known.time_step_s is not None and "T" in self._axes:
            facts |= {"TimeIncrement": float(known.time_step_s), "TimeIncrementUnit": "s"}
        sizes = dict(zip(self._axes, self._shape, strict=True))
        if known.channel_names and len(known.channel_names) == sizes.get("C", 1):
            there = shape[self._axes.index("C")] if "C" in sizes else 1
            facts["Channel"] = {"Name": list(known.channel_names[:there])}
        return facts

    def _keep_partial(self) -> Path | None:
        """Save the planes up to the last complete one along the first axis; others are 0."""
        seen = np.atleast_1d((self._rows > 0) | self._lost)
        last = int(np.flatnonzero(seen.reshape(len(seen), -1).any(axis=1))[-1])
        shape = (last + 1, *self._shape[1:]) if self._rows.ndim else self._shape
        stem, suffix = split_suffix(self.path.name)
        target = self.path.with_name(f"{stem}-partial{suffix}")
        temporary = self._temporary.with_suffix(".partial.tmp")
        others = "NaN" if self._dtype.kind == "f" and self._lost.any() else "0"
        if others == "NaN" and not (self._done | self._lost).all():
            others = "NaN where damaged, else 0"
        note = f"partial: {self._done.sum()} of {self._done.size} planes, the others are {others}"
        if begun := int(self._rows[~self._done].sum()):
            note += f", but for {begun} rows of what was being made"
        try:
            offset = self._write_header(temporary, shape, note)
            with self._temporary.open("rb") as source, temporary.open("r+b") as sink:
                source.seek(self._offset)
                sink.seek(offset)
                left = prod(shape) * self._dtype.itemsize
                while chunk := source.read(min(left, 2**24)):
                    left -= sink.write(chunk)
            return publish(temporary, target, numbered=True)
        except OSError:  # no room for a shorter copy: keep the long one, empty behind
            return publish(self._temporary, target, numbered=True)
        finally:
            temporary.unlink(missing_ok=True)


def _ome_order(lead: str) -> str:
    """Leading axes as tifffile can store them: S stands behind another where T, C, Z are there."""
    if lead.startswith("S") and len(lead) == 4:
        return lead[1] + "S" + lead[2:]
    return lead


def _read_plane(stack: ImageStack, index: tuple[int, ...]) -> np.ndarray:
    """A plane in the array's own type, which `ImageStack.plane` would turn into float32."""
    piece = np.asarray(stack.array[stack.selection(index, slice(None), slice(None))])
    return piece.T if stack.x_before_y else piece
