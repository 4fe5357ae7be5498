"""The files that segmenting a file makes: labels and confidence plane by plane, tables at the end."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_hdn import api
from napari_hdn.api import FileStack, JobRecipe, SegmentationConfig
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import OutputError

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.cli.segmentation_work import Work
    from napari_hdn.core.segmentation.segment import Segmentation

Index = tuple[int, ...]


class Rows:
    """A table that grows plane by plane, with columns for the plane first."""

    def __init__(self, lead: str) -> None:
        self._lead = tuple(lead)
        self.header: tuple[str, ...] = ()
        self.rows: list[tuple[Any, ...]] = []

    def add(self, index: Index, table: tuple[tuple[str, ...], list[tuple[Any, ...]]]) -> None:
        """Append the rows of a plane."""
        header, rows = table
        self.header = (*self._lead, *header)
        self.rows += [(*index, *row) for row in rows]

    def csv(self) -> bytes:
        """The table as a file holds it."""
        return api.csv_text(self.header, self.rows).encode()


class SegmentationFiles:
    """Files about the planes of a file; those that lack something say ``partial`` in their names.

    Used as a context manager: leaving it early, also by an error, keeps what is done, tables
    included. Only a `KeyboardInterrupt` gives it up.

    Parameters
    ----------
    folder : Path
    work : Work
    config : SegmentationConfig
    model : HDN or None
    recipe : JobRecipe
        What is going to be done; written at the end.

    Attributes
    ----------
    objects, scores : Rows
    done : int
        Planes written.
    written : list of Path
        After the context was left.
    recipe : JobRecipe or None
        With its results, after the context was left; None where it could not be written.
    """

    def __init__(
        self,
        folder: Path,
        work: Work,
        config: SegmentationConfig,
        model: HDN | None,
        recipe: JobRecipe,
    ) -> None:
        self._begun = recipe
        self.recipe: JobRecipe | None = None
        self._work = work
        self._samples = work.samples or config.samples
        self._paths = api.segmentation_paths(folder, work.stack.stem)
        off = () if model is None else model.config.network.deactivated_levels
        self._about: dict[str, Any] = {
            "recipe": config.recipe,
            "model": "" if model is None else model.name,
            "levels_off": tuple(sorted({*off, *(config.deactivated_levels or ())})),
        }
        self._least_px = config.least_px
        self._short = False  # whether samples are lacking
        self._planes = sum(1 for _ in work.planes())
        self.objects, self.scores = Rows(work.lead), Rows(work.lead)
        self.done = 0
        self.written: list[Path] = []

    def __enter__(self) -> Self:
        self._open = ExitStack()
        with ExitStack() as opening:  # what is open already is closed if another cannot be
            self._writers = {
                kind: opening.enter_context(self._writer(kind))
                for kind in ("consensus", "samples", "confidence")
            }
            self._all = list(self._writers.items())
            self._open = opening.pop_all()
        return self

    def write(self, index: Index, result: Segmentation) -> None:
        """Add what is found in a plane.

        Of fewer samples than there should be, names and descriptions say so.
        """
        at = () if self._work.chosen is not None else index
        if result.stopped:
            self._short = True
            for kind in ("consensus", "confidence"):
                writer = self._writer(kind, f"consensus of {result.shortfall}")
                self._writers[kind] = self._open.enter_context(writer)
                self._all.append((kind, writer))
        self._writers["consensus"].write(at, result.consensus.labels)
        self._writers["confidence"].write(at, result.consensus.confidence_image())
        for k, labels in enumerate(result.samples):
            self._writers["samples"].write((k, *at), labels)
        y0, _, x0, _ = self._work.region or (0, 0, 0, 0)
        table = api.objects_table(result, _pixel_um(self._work.stack), (y0, x0))
        self.objects.add(index, table)
        self.done += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._open.__exit__(kind, error, traceback)
        except Exception as other:  # a full disk may have room for a table
            self._write_rest(other)
            raise
        if error is None or isinstance(error, Exception):
            self._write_rest(error)

    def tell(self, progress: Progress) -> None:
        """Say what was found and written."""
        if self.scores.rows:
            _tell_scores(self.scores, progress)
        of = f" of {self._planes}" if self.done < self._planes else ""
        plural = "s" if self._planes > 1 else ""
        progress.say(f"{len(self.objects.rows)} objects, in {self.done}{of} plane{plural}.")
        for path in self.written:
            progress.say(f"Wrote {path}")

    def _write_rest(self, error: Exception | None) -> None:
        """Tables, then the recipe that tells of all files."""
        tables = self._write_tables(error)
        images = {kind: w.written for kind, w in self._all if w.written is not None}
        path = self._paths["recipe"]
        self.written = [*images.values(), *tables.values()]
        if not self.done or not self.written:
            return
        lacking = self._short or self.done < self._planes
        try:
            self.recipe, made = api.write_job_recipe(
                self._begun,
                images | tables,
                _partial(path) if lacking else path,
                complete=not lacking,
            )
        except OutputError as other:
            if error is None:
                raise
            error.add_note(str(other))
            return
        self.written.append(made)

    def _write_tables(self, error: Exception | None) -> dict[str, Path]:
        written: dict[str, Path] = {}
        for name, table in (("objects", self.objects), ("scores", self.scores)):
            if not table.header:
                continue
            path = self._paths[name]
            if self._short or self.done < self._planes:
                path = _partial(path)
            try:
                written[name] = api.write_new(path, table.csv())
            except OutputError as other:
                if error is None:
                    raise
                error.add_note(str(other))
                continue
            if error is not None:
                error.add_note(f"The {name} are in {written[name]}.")
        return written

    def _writer(self, kind: str, remark: str = "") -> api.OmeTiffWriter:
        work, path = self._work, self._paths[kind]
        if remark and self._planes == 1:  # of a stack the writer finds out itself
            path = api.free_path(_partial(path))
        metadata = work.stack.own_metadata
        if kind == "confidence":
            mark = api.segmentation_mark(**self._about, remark=remark)
            return api.OmeTiffWriter(
                path, work.shape, work.axes, "float32", metadata=metadata, description=mark
            )
        shape, axes = work.shape, work.axes
        if kind == "samples":
            shape, axes = (self._samples, *shape), f"S{axes}"
        return api.label_writer(
            path,
            shape,
            axes,
            **self._about,
            least_px=self._least_px,
            metadata=metadata,
            remark=remark,
        )


def _tell_scores(scores: Rows, progress: Progress) -> None:
    """The consensus and the mean of single samples, as means over the planes."""
    names = scores.header[-5:]
    for kind in ("consensus", "mean of single samples"):
        values = np.array([row[-4:] for row in scores.rows if row[-5] == kind], dtype=float)
        ap50, ap, seg, _ = values.mean(axis=0)
        progress.say(
            f"{kind:>23}: {names[1]} {ap50:.3f}, {names[2]} {ap:.3f}, {names[3]} {seg:.3f}"
        )


def _partial(path: Path) -> Path:
    stem, suffix = api.split_suffix(path.name)
    return path.with_name(f"{stem}-partial{suffix}")


def _pixel_um(stack: FileStack) -> tuple[float, float] | None:
    sizes = stack.pixel_size_um
    return (sizes["Y"], sizes["X"]) if "Y" in sizes and "X" in sizes else None
