"""The files that a restoration makes: their names, their mark, and how to know them again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

import napari_hdn
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.events import PlaneRestored
from napari_hdn.io.disk import check_room
from napari_hdn.io.naming import free_paths, split_suffix
from napari_hdn.io.ome_tiff import OmeTiffWriter
from napari_hdn.io.recipe_results import with_results, write_recipe

if TYPE_CHECKING:
    from napari_hdn.core.recipes.schema import Recipe
    from napari_hdn.io.images import FileStack

_MARK = "Restored by napari-hdn"
_MARK_WITHIN_BYTES = 8192  # of either end: tifffile writes the description behind the pixels
_SPREADS = {"std", "cv", "difference"}
# STEM_hdn-mean, STEM_hdn-TAG-std-2, STEM_hdn-mean-partial
_PRODUCT = r"(mean|median|map|std|cv|q[\d.]+|samples|difference)"
_NAME = re.compile(rf"_hdn(-.+)?-{_PRODUCT}(-\d+)?(-partial(-\d+)?)?\.ome\.tiff?$", re.IGNORECASE)


class RestorationFiles:
    """The files of one restoration: a context manager that is given the events.

    Leaving it early keeps the planes that are done, in files that say ``partial``; see
    `napari_hdn.io.ome_tiff.OmeTiffWriter`.

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
    recipe : Recipe, optional
        What is done, for ``STEM_hdn-recipe.json`` with the number of the others; the attribute may be
        replaced by what is known when it is over.
    with_recipe : bool
        Keep a name for a recipe that is given later.

    Attributes
    ----------
    written : dict of str to Path
        By product, after the context was left.
    dtypes : dict of str to dtype
        By product.

    Raises
    ------
    OutputError
        If the files would not fit on the disk, all together, or cannot be written.
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
        recipe: Recipe | None = None,
        with_recipe: bool = False,
    ) -> None:
        sizes = dict(zip(stack.axes, stack.array.shape, strict=True))
        axes = "".join(a for a in stack.axes if a in stack.leading_axes or a in "YX")
        shape = tuple(int(sizes[a]) for a in axes)
        self._samples = config.samples
        own = np.dtype(stack.array.dtype)
        whole = own if integers and own.kind in "ui" else np.dtype(np.float32)
        self.dtypes = {p: np.dtype(np.float32) if p in _SPREADS else whole for p in config.products}
        self.pixels = prod(shape)
        self.written: dict[str, Path] = {}
        self.recipe = recipe
        self.recipe_path: Path | None = None
        self._folder = folder
        self._open = ExitStack()
        stem = f"{stack.stem}_hdn{tag}"
        mark = restoration_mark(model, levels_off)
        endings = {product: (f"-{product}", ".ome.tif") for product in config.products}
        if recipe is not None or with_recipe:
            endings["recipe"] = ("-recipe", ".json")
        self._writers: dict[str, OmeTiffWriter] = {}
        for product, path in free_paths(folder, stem, endings).items():
            if product == "recipe":
                self.recipe_path = path
                continue
            many = product == "samples"
            self._writers[product] = OmeTiffWriter(
                path,
                (config.samples, *shape) if many else shape,
                f"S{axes}" if many else axes,
                self.dtypes[product],
                metadata=stack.own_metadata,
                description=mark,
            )

    def __enter__(self) -> Self:
        needed = sum(writer.nbytes for writer in self._writers.values())
        check_room(self._folder, needed, self._in_words())
        with ExitStack() as entered:
            for writer in self._writers.values():
                entered.enter_context(writer)
            self._open = entered.pop_all()
        return self

    def write(self, event: PlaneRestored) -> None:
        """Write what was restored of a plane."""
        for product, writer in self._writers.items():
            plane = event.planes[product]
            if product != "samples":
                writer.write(event.index, plane, event.rows.start)
                continue
            for number, sample in enumerate(plane):
                writer.write((number, *event.index), sample, event.rows.start)

    def give_up(self, index: tuple[int, ...]) -> None:
        """Leave out a plane that cannot be restored; see `OmeTiffWriter.give_up`."""
        for product, writer in self._writers.items():
            if product != "samples":
                writer.give_up(index)
                continue
            for number in range(self._samples):
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
                p: writer.written
                for p, writer in self._writers.items()
                if writer.written is not None
            }
            self._write_recipe()

    def _write_recipe(self) -> None:
        """Beside what was written, and called ``partial`` as that is."""
        if self.recipe is None or self.recipe_path is None or not self.written:
            self.recipe_path = None
            return
        path = self.recipe_path
        if self.partial:
            path = path.with_name(f"{path.stem}-partial.json")
        self.recipe = with_results(self.recipe, self.written)
        self.recipe_path = write_recipe(self.recipe, path)

    @property
    def clipped(self) -> dict[str, int]:
        """Pixels that did not fit an integer type, by product, where there are some."""
        return {p: writer.clipped for p, writer in self._writers.items() if writer.clipped}

    @property
    def partial(self) -> bool:
        """Whether planes are missing."""
        return any(path != self._writers[p].path for p, path in self.written.items())

    def _in_words(self) -> str:
        names = ", ".join(self._writers)
        return f"{names} ({self._samples} samples)" if "samples" in self._writers else names


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
    """Whether a file was made by restoring, by its name or the mark in it."""
    if _NAME.search(path.name):
        return True
    if split_suffix(path.name)[1].lower() not in (".ome.tif", ".ome.tiff", ".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(_MARK_WITHIN_BYTES)
            file.seek(max(0, path.stat().st_size - _MARK_WITHIN_BYTES))
            return _MARK.encode() in begin or _MARK.encode() in file.read()
    except OSError:  # opening it as an image will tell
        return False
