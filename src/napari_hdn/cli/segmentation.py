"""Segmenting the planes of a file, and the files about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import Notice, SegmentationConfig, Stop, TiffStack
from napari_hdn.cli.inspection import one_image, plane_index
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import ConfigurationError, StoppedEarly

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.segmentation.segment import Segmentation

Index = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """The planes of a file that are to be segmented.

    Attributes
    ----------
    stack : TiffStack
        An image, or samples of one along its axis S.
    chosen : tuple of int or None
        The one plane to segment, along `lead`; None for all.
    """

    stack: TiffStack
    chosen: Index | None = None

    @property
    def lead(self) -> str:
        """The leading axes of the planes."""
        return self.stack.leading_axes.replace("S", "")

    @property
    def sizes(self) -> Index:
        """Along `lead`."""
        of = dict(zip(self.stack.leading_axes, self.stack.leading_shape, strict=True))
        return tuple(of[a] for a in self.lead)

    @property
    def shape(self) -> Index:
        """Of the labels that are written, along `axes`."""
        return (*(self.sizes if self.chosen is None else ()), *self.stack.plane_shape)

    @property
    def axes(self) -> str:
        """Of the labels that are written."""
        return (self.lead if self.chosen is None else "") + "YX"

    def planes(self) -> Iterator[Index]:
        """Their places along `lead`."""
        yield from np.ndindex(self.sizes) if self.chosen is None else iter([self.chosen])

    def samples_at(self, index: Index) -> np.ndarray:
        """(N, Y, X) samples of a plane."""
        at = dict(zip(self.lead, index, strict=True))
        n = dict(zip(self.stack.leading_axes, self.stack.leading_shape, strict=True))["S"]
        return np.stack(
            [
                self.stack.plane(tuple(k if a == "S" else at[a] for a in self.stack.leading_axes))
                for k in range(n)
            ]
        )

    def check_samples(self) -> None:
        """Say so if there is no axis of samples.

        Raises
        ------
        ConfigurationError
        """
        if "S" not in self.stack.leading_axes:
            raise ConfigurationError(
                f"{self.stack.name} has no axis of samples: its axes are {self.stack.axes}. Give a file "
                "made by restore --outputs samples, or say which axis holds them, such as --axes SYX."
            )

    def check_image(self) -> None:
        """Say so if these are samples already.

        Raises
        ------
        ConfigurationError
        """
        if "S" in self.stack.leading_axes:
            raise ConfigurationError(
                f"{self.stack.name} holds samples (axes {self.stack.axes}): name it with "
                "--from-samples instead of a model and an image."
            )


@dataclass(frozen=True)
class Truth:
    """Labels to compare with, plane by plane.

    Attributes
    ----------
    stack : TiffStack
    drawn : set of tuple of int
        The planes, of those that are segmented, in which somebody drew objects.
    """

    stack: TiffStack
    drawn: frozenset[Index] = frozenset()

    def at(self, index: Index, sizes: Index) -> np.ndarray:
        """(Y, X) labels of plane ``index`` out of ``sizes``, in the file's own type."""
        # axes of length 1 may differ, so planes are counted
        number = int(np.ravel_multi_index(index, sizes)) if index and len(self.stack) > 1 else 0
        shape, whole = self.stack.leading_shape, slice(None)
        own = tuple(int(i) for i in np.unravel_index(number, shape)) if shape else ()
        piece = np.asarray(self.stack.array[self.stack.selection(own, whole, whole)])
        return piece.T if self.stack.x_before_y else piece


def open_work(
    path: str, axes: str | None, channel: int | None, index: str | None, progress: Progress
) -> Work:
    """The planes of a file.

    Raises
    ------
    ConfigurationError
        If there are several images, or no such plane.
    """
    work = Work(one_image(path, axes, channel, progress))
    if index is None:
        return work
    return replace(work, chosen=plane_index(work.stack.name, work.lead, work.sizes, index))


def open_truth(path: str, work: Work, progress: Progress) -> Truth:
    """Labels for the planes that are segmented.

    Raises
    ------
    ConfigurationError
        If there are not as many planes, of the same size, or these are no labels of
        objects.
    """
    stacks = api.open_images([path])
    if len(stacks) != 1:
        raise ConfigurationError(f"Give one image of labels, not the {len(stacks)} of {path}.")
    (stack,) = stacks
    one = len(stack) == 1 and (work.chosen is not None or int(np.prod(work.sizes)) == 1)
    if stack.plane_shape != work.stack.plane_shape or not (
        one or _without_ones(stack.leading_shape) == _without_ones(work.sizes)
    ):
        raise ConfigurationError(
            f"The truth {stack.name} ({_sizes(stack.axes, stack.array.shape)}) does not fit "
            f"{work.stack.name} ({_sizes(work.stack.axes, work.stack.array.shape)}): it needs the "
            "same planes, or one plane for one that is named with --index."
        )
    truth = Truth(stack)
    planes, drawn = list(work.planes()), set()
    for index in planes:  # before hours of drawing
        labels = truth.at(index, work.sizes)
        if labels.any() or len(planes) == 1:
            api.check_truth(labels, work.stack.plane_shape, stack.name)
            drawn.add(index)
    if not drawn:
        raise ConfigurationError(f"The truth {stack.name} has no objects: all its pixels are 0.")
    if len(drawn) < len(planes):
        progress.say(
            f"{stack.name} has objects in {len(drawn)} of {len(planes)} planes: scored there."
        )
    return replace(truth, drawn=frozenset(drawn))


def run(
    model: HDN | None,
    work: Work,
    truth: Truth | None,
    config: SegmentationConfig,
    folder: Path,
    progress: Progress,
    stop: Stop,
) -> None:
    """Segment plane by plane, write what was found, tell about it.

    Raises
    ------
    StoppedEarly
        If the user stopped before there was anything to write.
    """
    paths = api.segmentation_paths(folder, work.stack.stem)
    n = config.samples if model is not None else work.stack.array.shape[work.stack.axes.index("S")]
    off = () if model is None else model.config.network.deactivated_levels
    off = tuple(sorted({*off, *(config.deactivated_levels or ())}))
    about: dict[str, Any] = {
        "least_px": config.least_px,
        "recipe": config.recipe,
        "model": "" if model is None else model.name,
        "levels_off": off,
        "pixel_size_um": work.stack.pixel_size_um,
    }
    objects, scores = _Rows(work.lead), _Rows(work.lead)
    with ExitStack() as files:
        writers = {
            "consensus": api.label_writer(paths["consensus"], work.shape, work.axes, **about),
            "samples": api.label_writer(
                paths["samples"], (n, *work.shape), f"S{work.axes}", **about
            ),
            "confidence": api.OmeTiffWriter(
                paths["confidence"],
                work.shape,
                work.axes,
                "float32",
                pixel_size_um=work.stack.pixel_size_um,
                description=api.segmentation_mark(config.recipe, about["model"], off),
            ),
        }
        for writer in writers.values():
            files.enter_context(writer)
        done = 0
        for index in work.planes():
            result = _segmented(model, work, index, config, progress, stop, done)
            if result is None:
                break
            done += 1
            at = () if work.chosen is not None else index
            writers["consensus"].write(at, result.consensus.labels)
            writers["confidence"].write(at, result.consensus.confidence_image())
            for k, labels in enumerate(result.samples):
                writers["samples"].write((k, *at), labels)
            objects.add(index, api.objects_table(result, _pixel_um(work.stack)))
            if truth is not None and index in truth.drawn:
                labels = truth.at(index, work.sizes)
                scores.add(index, result.scores(labels, truth.stack.name).table())
            if stop.requested:
                break
    if not done:
        raise StoppedEarly("Stopped before a plane was segmented; nothing was written.")
    written = [w.written for w in writers.values() if w.written is not None]
    written.append(api.write_new(paths["objects"], objects.csv()))
    if scores.rows:
        written.append(api.write_new(paths["scores"], scores.csv()))
        _tell_scores(scores, progress)
    progress.say(f"{len(objects.rows)} objects, in {done} plane{'s' if done > 1 else ''}.")
    for path in written:
        progress.say(f"Wrote {path}")


def _segmented(
    model: HDN | None,
    work: Work,
    index: Index,
    config: SegmentationConfig,
    progress: Progress,
    stop: Stop,
    done: int,
) -> Segmentation | None:
    """What is found in one plane; None if the user stopped before that."""
    name = work.stack.name
    if work.sizes and work.chosen is None:
        name += "".join(f", {a} {i}" for a, i in zip(work.lead, index, strict=True))
    total = 1 if work.chosen is not None else int(np.prod(work.sizes, dtype=int))
    if model is not None:
        counts = work.stack.plane(index)
        remark = api.range_remark(model, counts, name)
        if remark:
            progress.notice(Notice(remark, "warning"))
        number = int(np.ravel_multi_index(index, work.sizes)) if work.sizes else 0
        events = api.segment(model, counts, config, number=number, stop=stop, name=name)
    else:
        samples = work.samples_at(index)
        events = api.segment_samples(samples, config, stop=stop, name=name)
    result: Segmentation | None = None
    try:
        for event in events:
            if isinstance(event, Notice):
                progress.notice(event)
            elif isinstance(event, api.SegmentationProgress):
                left = event.remaining_s if total == 1 else float("inf")
                progress.update((done + event.fraction) / total, event.doing, left)
            else:
                result = event
    except StoppedEarly:
        if done:
            return None
        raise
    return result


class _Rows:
    """A table that grows plane by plane, with columns for the plane first."""

    def __init__(self, lead: str) -> None:
        self._lead = tuple(lead)
        self.header: tuple[str, ...] = ()
        self.rows: list[tuple[Any, ...]] = []

    def add(self, index: Index, table: tuple[tuple[str, ...], list[tuple[Any, ...]]]) -> None:
        header, rows = table
        self.header = (*self._lead, *header)
        self.rows += [(*index, *row) for row in rows]

    def csv(self) -> bytes:
        return api.csv_text(self.header, self.rows).encode()


def _tell_scores(scores: _Rows, progress: Progress) -> None:
    """The consensus and the mean of single samples, as means over the planes."""
    names = scores.header[-5:]
    for kind in ("consensus", "mean of single samples"):
        values = np.array([row[-4:] for row in scores.rows if row[-5] == kind], dtype=float)
        ap50, ap, seg, _ = values.mean(axis=0)
        progress.say(
            f"{kind:>23}: {names[1]} {ap50:.3f}, {names[2]} {ap:.3f}, {names[3]} {seg:.3f}"
        )


def _pixel_um(stack: TiffStack) -> tuple[float, float] | None:
    sizes = stack.pixel_size_um
    return (sizes["Y"], sizes["X"]) if "Y" in sizes and "X" in sizes else None


def _without_ones(shape: Index) -> Index:
    return tuple(n for n in shape if n != 1)


def _sizes(axes: str, shape: Index) -> str:
    return " x ".join(f"{a} {n}" for a, n in zip(axes, shape, strict=True))
