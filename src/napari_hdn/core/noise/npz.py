"""GMM noise models as the ``.npz`` files of earlier tools: read, and written for them.

Such a file holds ``trained_weight`` (3 K, coefficients), ``min_signal``, ``max_signal`` and
``min_sigma``; see `napari_hdn.core.noise.gmm` for what they mean.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hdn.core.errors import NoiseModelError

if TYPE_CHECKING:
    from napari_hdn.core.noise.gmm import GaussianMixture

KEYS = ("trained_weight", "min_signal", "max_signal", "min_sigma")
_MAX_BYTES = 1_000_000  # of one array; a GMM has some dozens of numbers
_MAX_KEYS_NAMED = 8
# what zipfile and numpy raise for files that are something else, cut short or encrypted
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError),
)


def read_npz(path: Path) -> GaussianMixture:
    """Read a GMM noise model from an ``.npz`` file.

    Nothing in the file is run: arrays of Python objects are refused.

    Raises
    ------
    NoiseModelError
        If the file cannot be read or holds no GMM.
    """
    from napari_hdn.core.noise.gmm import GaussianMixture

    arrays = _read_arrays(path)
    low, high, least = (_number(path, name, arrays[name]) for name in KEYS[1:])
    try:
        return GaussianMixture(arrays[KEYS[0]], low, high, least, source=f"from {path.name}")
    except NoiseModelError as error:
        raise NoiseModelError(f"{path.name} cannot be used: {error}") from error


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {i.filename.removesuffix(".npy"): i.file_size for i in archive.infolist()}
        _check_names(path, sizes)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(_member(path, file, name)) for name in KEYS}
    except NoiseModelError:
        raise
    except _DAMAGED as error:
        raise NoiseModelError(
            f"{path.name} is no .npz file, or is damaged: {str(error)[:160] or 'it ends too early'}."
        ) from error
    except OSError as error:
        raise NoiseModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise NoiseModelError(
                f"{path.name} cannot be used: {name} must hold numbers; it is of type {array.dtype}."
            )
    return arrays


def _check_names(path: Path, sizes: dict[str, int]) -> None:
    missing = [name for name in KEYS if name not in sizes]
    if missing:
        there = ", ".join(sorted(sizes)[:_MAX_KEYS_NAMED]) or "nothing"
        more = len(sizes) - _MAX_KEYS_NAMED
        raise NoiseModelError(
            f"{path.name} is no GMM noise model: {' and '.join(missing)} {_are(missing)} missing; it "
            f"holds {there}{f' and {more} more' if more > 0 else ''}."
        )
    for name in KEYS:
        if sizes[name] > _MAX_BYTES:
            raise NoiseModelError(
                f"{path.name} is no GMM noise model: {name} takes {sizes[name] / 1e6:.3g} MB, where a "
                "GMM has some dozens of numbers."
            )


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _member(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        return file[name]
    except (ValueError, MemoryError, TypeError, SyntaxError) as error:
        raise NoiseModelError(
            f"{path.name} cannot be used: {name} is not an array of numbers ({error!s:.100})."
        ) from error


def _number(path: Path, name: str, array: np.ndarray) -> float:
    """A single number: files hold it as an array without dimensions, or of one element."""
    if array.size != 1:
        shape = " x ".join(str(n) for n in array.shape)
        raise NoiseModelError(
            f"{path.name} cannot be used: {name} must be one number; it is an array of {shape}."
        )
    value = float(array.reshape(-1)[0])
    if not np.isfinite(value):
        raise NoiseModelError(f"{path.name} cannot be used: {name} is {value}.")
    return value


def npz_bytes(model: GaussianMixture) -> bytes:
    """The ``.npz`` file of a GMM; of the mixture only: no clipping, no calibration, no source."""
    low, high = model.signal_range
    content = io.BytesIO()
    # shapes as earlier tools have them
    np.savez(
        content,
        trained_weight=model.weight.cpu().numpy(),
        min_signal=np.array([low], dtype=np.float32),
        max_signal=np.array([high], dtype=np.float32),
        min_sigma=np.array(float(model.min_sigma)),
    )
    return content.getvalue()
