"""The files that a restoration makes: their names, their mark, and how to know them again."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

import napari_hdn
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.events import Notice, PlaneRestored
from napari_hdn.io.naming import free_paths, split_suffix
from napari_hdn.io.products import Product, TiffProducts
from napari_hdn.io.reading.zarr_metadata import made_by
from napari_hdn.io.recipes.results import with_results, write_recipe
from napari_hdn.io.zarr.image import need_zarr
from napari_hdn.io.zarr.products import ZarrProducts

if TYPE_CHECKING:
    from napari_hdn.core.recipes.schema import Recipe
    from napari_hdn.io.reading.stack import FileStack

Format = Literal["ome-tiff", "ome-zarr"]
FORMATS: tuple[Format, ...] = get_args(Format)
ENDINGS: dict[str, str] = {"ome-tiff": ".ome.tif", "ome-zarr": ".ome.zarr"}

_MARK = "Restored by napari-hdn"
_MARK_WITHIN_BYTES = 8192  # of either end: tifffile writes the description behind the pixels
_SPREADS = {"std", "cv", "difference"}
# STEM_hdn-mean, STEM_hdn-TAG-std-2, STEM_hdn-mean-partial
_PRODUCT = r"(mean|median|map|std|cv|q[\d.]+|samples|difference)"
_NAME = re.compile(
    rf"_hdn(-.+)?-{_PRODUCT}(-\d+)?(-partial(-\d+)?)?\.ome\.(tiff?|zarr)$", re.IGNORECASE
)


class RestorationFiles:
    """The files of one restoration: a context manager that is given the events.

    Leaving it early keeps the planes that are done: of OME-TIFF in files that say ``partial``, see
    `napari_hdn.io.ome_tiff.OmeTiffWriter`; of OME-Zarr in a hidden folder, from which the very same
    restoration goes on, see `napari_hdn.io.zarr.products.ZarrProducts`.

    Parameters
    ----------
    folder : Path
        Where to write ``STEM_hdn-mean.ome.tif`` and so on, or ``STEM_hdn-mean-2.ome.tif`` and so on
        where one of these exists: names of one restoration belong together.
    stack : FileStack
        What is restored; the channel chosen in it needs no axis of its own.
    config : RestorationConfig
    tag : str
        What tells this restoration from others of the same image, in the names: ``-TAG``.
    model : str
        Named in the files.
    levels_off : sequence of int
        Of all latent levels; named in the files, too.
    integers : bool
        Whether images in counts get the input's integer type; spreads stay float32.
    format : {"ome-tiff", "ome-zarr"}
    identity : str
        A digest of what the pixels depend on besides the image, see `core.identity.asked_digest`:
        OME-Zarr needs it to know the job that it may go on with.
    pyramid : bool, optional
        Whether OME-Zarr has coarser copies; by default for large planes.
    rows : int, optional
        Of a file of OME-Zarr, where several processes write parts of the same plane.
    tidy : bool
        Whether to look for what other restorations of this image left, such as killed ones; see
        `leftovers`.

    Attributes
    ----------
    written : dict of str to Path
        By product, after the context was left.
    dtypes : dict of str to dtype
        By product.
    done : frozenset of tuple of int
        Planes that an interrupted restoration left done, after the context was entered: not to be
        restored again.
    kept : str
        For the user, after OME-Zarr was left early: where what is done is, and how to go on.
    integers : bool
        Whether there are integers among them.
    recipe : Recipe or None
        What is done: written as ``STEM_hdn-recipe.json``, with the number of the other names, once
        there are files to tell of; then it names these. To be set by whoever knows.

    Raises
    ------
    OutputError
        If the files would not fit on the disk, all together, or cannot be written.
    MissingExtraError
        If OME-Zarr was chosen and zarr is not installed.
    """

    def __init__(
        self,
        folder: Path,
        stack: FileStack,
        config: RestorationConfig,
        *,
        tag: str = "",
        model: str = "",
        levels_off: Sequence[int] = (),
        integers: bool = False,
        format: Format = "ome-tiff",
        identity: str = "",
        pyramid: bool | None = None,
        rows: int | None = None,
        tidy: bool = True,
    ) -> None:
        sizes = dict(zip(stack.axes, stack.array.shape, strict=True))
        axes = "".join(a for a in stack.axes if a in stack.leading_axes or a in "YX")
        shape = tuple(int(sizes[a]) for a in axes)
        own = np.dtype(stack.array.dtype)
        self.integers = integers and own.kind in "ui"
        whole = own if self.integers else np.dtype(np.float32)
        self.dtypes = {p: np.dtype(np.float32) if p in _SPREADS else whole for p in config.products}
        self.pixels = prod(shape)
        self.written: dict[str, Path] = {}
        self.done: frozenset[tuple[int, ...]] = frozenset()
        self.kept = ""
        self.recipe: Recipe | None = None
        stem = f"{stack.stem}_hdn{tag}"
        endings = {product: (f"-{product}", ENDINGS[format]) for product in config.products}
        endings["recipe"] = ("-recipe", ".json")
        products = {}
        for product, path in free_paths(folder, stem, endings).items():
            if product == "recipe":
                self._recipe_path = path
                continue
            many = product == "samples"
            products[product] = Product(
                path,
                (config.samples, *shape) if many else shape,
                f"S{axes}" if many else axes,
                self.dtypes[product],
                many,
            )
        mark = restoration_mark(model, levels_off)
        self._sink: TiffProducts | ZarrProducts
        if format == "ome-tiff":
            self._sink = TiffProducts(
                folder, stem, products, metadata=stack.own_metadata, made_by=mark, tidy=tidy
            )
            return
        need_zarr()
        if not identity:
            raise ValueError("OME-Zarr needs the identity of the restoration.")
        self._sink = ZarrProducts(
            folder,
            stem,
            products,
            stack.leading_shape,
            {"image": _identity_of(stack), "restoration": identity},
            metadata=stack.own_metadata,
            made_by=mark,
            pyramid=pyramid,
            rows=rows,
            tidy=tidy,
        )

    def __enter__(self) -> Self:
        self._sink.__enter__()
        self.done = self._sink.done
        return self

    @property
    def zarr(self) -> ZarrProducts:
        """What is written as OME-Zarr, for other processes that write to it, too."""
        assert isinstance(self._sink, ZarrProducts)
        return self._sink

    def remarks(self) -> list[Notice]:
        """What the user should know before the work begins, after the context was entered."""
        return [Notice(text) for text in self._sink.remarks()]

    def write(self, event: PlaneRestored) -> None:
        """Write what was restored of a plane, unless other processes wrote it already."""
        if not event.planes:
            return
        self._sink.write(event.index, event.planes, event.rows.start, event.complete)

    def give_up(self, index: tuple[int, ...]) -> None:
        """Leave out a plane that cannot be restored: it is NaN, or 0 in an integer type."""
        self._sink.give_up(index)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._sink.__exit__(kind, error, traceback)
        finally:
            self.written, self.kept = self._sink.written, self._sink.kept
        self._write_recipe()

    def _write_recipe(self) -> None:
        """Beside what was written, and called ``partial`` as that is."""
        if self.recipe is None or not self.written:
            return
        path = self._recipe_path
        if self.partial:
            path = path.with_name(f"{path.stem}-partial.json")
        self.recipe = with_results(self.recipe, self.written)
        write_recipe(self.recipe, path)

    @property
    def clipped(self) -> dict[str, int]:
        """Pixels that did not fit an integer type, by product, where there are some."""
        return self._sink.clipped

    @property
    def partial(self) -> bool:
        """Whether planes are missing in the files."""
        return self._sink.partial


def _identity_of(stack: FileStack) -> dict[str, Any]:
    """What tells an image from all others, and from itself after it was changed."""
    about: dict[str, Any] = {
        "name": stack.path.name,
        "stem": stack.stem,  # which of the images in it
        "axes": stack.axes,
        "shape": [int(n) for n in stack.array.shape],
        "dtype": np.dtype(stack.array.dtype).name,
        "channel": stack.channel,
    }
    files = [stack.path, *(stack.path / name for name in (".zattrs", "zarr.json"))]
    for file in files:  # of an OME-Zarr the folder and what describes it
        with contextlib.suppress(OSError):
            found = file.stat()
            about[f"time of {file.name}"], about[f"size of {file.name}"] = (
                found.st_mtime_ns,
                found.st_size,
            )
    return about


def restoration_mark(model: str = "", levels_off: Sequence[int] = ()) -> str:
    """What a restored file says of itself: by which version, with which model, which levels off."""
    mark = f"{_MARK} {napari_hdn.__version__}"
    if model:
        mark += f" with model {model}"
    if levels_off:
        plural = "s" if len(levels_off) > 1 else ""
        mark += f", level{plural} {', '.join(map(str, levels_off))} off"
    return mark


def is_restoration(path: Path) -> bool:
    """Whether a file or Zarr folder was made by restoring, by its name or the mark in it."""
    if _NAME.search(path.name):
        return True
    if path.is_dir():
        return made_by(path).startswith(_MARK)
    if split_suffix(path.name)[1].lower() not in (".ome.tif", ".ome.tiff", ".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(_MARK_WITHIN_BYTES)
            file.seek(max(0, path.stat().st_size - _MARK_WITHIN_BYTES))
            return _MARK.encode() in begin or _MARK.encode() in file.read()
    except OSError:  # opening it as an image will tell
        return False


def leftovers(folder: Path) -> list[str]:
    """Names of hidden, unfinished files in a folder: of killed restorations, and of running ones.

    For whoever restores many images into one folder, and does not want to list it for each.
    """
    try:
        return [n for n in os.listdir(folder) if n[:1] == "." and n.endswith((".tmp", ".part"))]
    except OSError:  # it is not there yet
        return []
