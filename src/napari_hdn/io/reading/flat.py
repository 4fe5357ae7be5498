"""The pixels of a file that stand in it one behind the other, read where they are asked for.

Not memory-mapped: where a mapped file is cut short, or its network drive goes away, the system ends the
whole program (SIGBUS) instead of raising an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_hdn.core.errors import HDNError
from napari_hdn.io.reading.pixels import Pixels, cover, expand
from napari_hdn.io.reading.trouble import SameFile, damaged, gone, truncated

_WORTH_SEEKING = 2**16  # bytes between two pieces of a row beyond which they are read apart


class FlatPixels(Pixels):
    """An uncompressed image in one piece of a file; indexing reads what is asked, and copies it.

    The file is open only while it is read, so that thousands can be used at once. Safe to use from
    several threads; can be sent to other processes.

    Parameters
    ----------
    path : Path
        The file; it must stay where it is.
    dtype : dtype
        In the file, with its byte order.
    offset : int
        Where the pixels begin, in bytes.
    shape : tuple of int
        One size per axis.
    fortran : bool
        Whether the first axis is the one whose neighbours stand beside each other.
    """

    def __init__(
        self,
        path: Path,
        dtype: np.dtype,
        offset: int,
        shape: Sequence[int],
        *,
        fortran: bool = False,
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.dtype = dtype.newbyteorder("=")
        self._path = path.absolute()
        self._stored = dtype
        self._offset = offset
        self._fortran = fortran
        size = prod(self.shape) * dtype.itemsize
        # a few bytes of the first and of the last pixels, by which the file is known again
        ends = [(offset, min(size, 1024)), (offset + max(0, size - 1024), min(size, 1024))]
        self._file = SameFile(self._path, ends)

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = expand(key, self.ndim)
        covered = [cover(k, n) for k, n in zip(keys, self.shape, strict=True)]
        box, inside = [span for span, _ in covered], tuple(local for _, local in covered)
        try:
            with self._path.open("rb", buffering=0) as file:
                self._file.check(file)
                if self._fortran:
                    block = self._read(file, self.shape[::-1], box[::-1]).T
                else:
                    block = self._read(file, self.shape, box)
                self._file.check(file)  # while it was read
        except HDNError:
            raise
        except OSError as error:
            raise gone(self._path, error) from error
        except MemoryError as error:
            raise damaged(self._path, error) from error
        return np.array(block[inside], self.dtype)

    def _read(self, file: BinaryIO, shape: Sequence[int], box: Sequence[range]) -> np.ndarray:
        """Read a box of an image whose last axis is stored side by side."""
        out = np.empty([len(span) for span in box], self._stored)
        if out.size:
            strides = [prod(shape[i + 1 :]) * self._stored.itemsize for i in range(len(shape))]
            self._fill(file, out, shape, strides, box, self._offset)
        return out

    def _fill(
        self,
        file: BinaryIO,
        out: np.ndarray,
        shape: Sequence[int],
        strides: Sequence[int],
        box: Sequence[range],
        start: int,
    ) -> None:
        start += box[0].start * strides[0] if box else 0
        if all(len(span) == n for span, n in zip(box[1:], shape[1:], strict=True)):
            self._read_into(file, out, start)  # in one piece
        elif len(box) == 2 and strides[0] - out.shape[1] * strides[1] < _WORTH_SEEKING:
            rows = np.empty((len(box[0]), shape[1]), self._stored)
            self._read_into(file, rows, start)
            out[...] = rows[:, box[1].start : box[1].stop]
        else:
            for number in range(len(box[0])):
                here = start + number * strides[0]
                self._fill(file, out[number], shape[1:], strides[1:], box[1:], here)

    def _read_into(self, file: BinaryIO, out: np.ndarray, start: int) -> None:
        bytes_of = out.reshape(-1).view(np.uint8).data
        file.seek(start)
        done = 0
        while done < len(bytes_of):
            count = file.readinto(bytes_of[done:])  # type: ignore[attr-defined]
            if not count:
                raise truncated(self._path, f"it ends at byte {start + done:,}")
            done += count
