"""Jobs of the dock that judges a restoration: judge a piece, write what was found."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    HDNError,
    JobInput,
    JobRecipe,
    Notice,
    TrustFinished,
    TrustProgress,
    TrustSettings,
)
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.layers import is_open
from napari_hdn.ui.piece import Piece
from napari_hdn.ui.region import Region
from napari_hdn.ui.sources import LayerSource
from napari_hdn.ui.trust_layers import add_trust

if TYPE_CHECKING:
    import numpy as np

    from napari_hdn.api import HDN
    from napari_hdn.core.trust.judgement import Judgement

MOST_PX = 1024  # a side of what is judged at once


@dataclass(frozen=True)
class SecondFrame:
    """Where one more frame of the scene is."""

    source: LayerSource
    region: Region

    def read(self) -> np.ndarray:
        """(Y, X) counts; for a worker."""
        return self.region.read(self.source.stack).image


@dataclass(frozen=True)
class Judged:
    """What judging a piece came to."""

    judgement: Judgement
    piece: Piece
    identity: dict[str, Any]
    recipe: JobRecipe


class TrustJob(Job):
    """Judge a piece; the result stays with the job, and its trust map becomes a layer.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    model : HDN
    piece : Piece
    repeats : LayerSource, optional
    second_frame : SecondFrame, optional
    samples : int
    off : tuple of int
        Levels that are off.
    device : str
    """

    kind = "trust"

    def __init__(
        self,
        viewer: Any,
        model: HDN,
        piece: Piece,
        *,
        repeats: LayerSource | None = None,
        second_frame: SecondFrame | None = None,
        samples: int = 16,
        off: tuple[int, ...] = (),
        device: str = "auto",
    ) -> None:
        super().__init__(f"judging the restoration of {piece.source.name}")
        self._viewer = weakref.ref(viewer)
        self.model: HDN | None = model  # until the job is over
        self.piece = piece
        self.repeats = repeats
        self.second_frame = second_frame
        self.samples, self.off, self.device = samples, off, device
        self.doing = ""
        self.judged: Judged | None = None

    @property
    def status(self) -> str:
        """One line about where the job is."""
        if self.running and self.doing and not self.stop.requested:
            return f"{self.doing[:1].upper()}{self.doing[1:]} ..."
        return super().status

    @property
    def has_result(self) -> bool:
        """Once it is known."""
        return self.judged is not None

    def work(self) -> Iterator[Any]:
        """Judge, in the worker's thread."""
        model, piece = self.model, self.piece
        assert model is not None
        for event in api.judge_restoration(
            model,
            piece.read(),
            repeats=None if self.repeats is None else self.repeats.stack,
            second_frame=None if self.second_frame is None else self.second_frame.read(),
            samples=self.samples,
            off=self.off,
            device=self.device,
            name=piece.source.name,
            stop=self.stop,
        ):
            if isinstance(event, TrustFinished):
                recipe = self._recipe(model, piece, complete=not event.judgement.not_done)
                identity = _identity(model, event.judgement, piece)
                identity["recipe"] = recipe.model_dump(mode="json")
                yield Judged(event.judgement, piece, identity, recipe)
            else:
                yield event

    def _recipe(self, model: HDN, piece: Piece, *, complete: bool) -> JobRecipe:
        inputs = [piece.recorded]
        if self.repeats is not None:
            inputs.append(JobInput("repeats", self.repeats.stack))
        if (second := self.second_frame) is not None:
            inputs.append(JobInput("second frame", second.source.stack, second.region.index))
        settings = TrustSettings(
            judged_samples=self.samples, deactivated_levels=self.off, device=self.device
        )
        return api.job_recipe("trust", settings, inputs, model=model, complete=complete)

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case TrustProgress():
                self.fraction, self.remaining_s = event.fraction, event.remaining_s
                self.doing = event.doing
            case Judged():
                self.judged = event
                self._tell(event)

    def _tell(self, judged: Judged) -> None:
        found = judged.judgement
        for warning in found.warnings:
            self.notices.append(Notice(warning, "warning"))
        for remark in () if found.spread is None else found.spread.remarks:
            self.notices.append(Notice(remark))
        viewer = self._viewer()
        if viewer is not None and is_open(viewer):
            add_trust(viewer, judged)
        if found.not_done:
            self.end(f"Stopped: {judged.piece.in_words()} was judged in part.")
        else:
            self.fraction = 1.0
            self.end(f"Judged {judged.piece.in_words()}.")

    def close(self) -> None:
        """Let go of the model and of further frames; what was found stays."""
        super().close()
        self.model = self.repeats = self.second_frame = None


class ReportJob(Job):
    """Write the report of a judgement, its numbers and its maps to a folder."""

    kind = "trust report"

    def __init__(self, judged: Judged, folder: Path) -> None:
        super().__init__(f"writing the report on {judged.piece.source.name}")
        self._judged: Judged | None = judged  # until the job is over
        self._folder = folder

    def work(self) -> Iterator[Any]:
        """Write, in the worker's thread."""
        assert self._judged is not None
        piece = self._judged.piece
        sizes = {} if piece.pixel_um is None else dict(zip("YX", piece.pixel_um, strict=True))
        stem = re.sub(r'[<>:"/\\|?*\[\]\s]+', "_", piece.source.name).strip("_.") or "image"
        paths = api.trust_paths(self._folder, stem)
        written = api.write_trust(
            self._judged.judgement,
            paths,
            where=piece.in_words(),
            metadata=api.ImageMetadata(sizes),
        )
        recipe = self._judged.recipe
        _, beside = api.write_job_recipe(
            recipe,
            api.trust_products(paths, written),
            paths["recipe"],
            complete=recipe.job.complete,
        )
        yield [beside, *written]

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, list):
            self.fraction = 1.0
            self.end(
                f"Saved {event[-1].name} and {len(event) - 1} files with it in {self._folder}."
            )

    def close(self) -> None:
        """Let go of the images."""
        super().close()
        self._judged = None


def second_frame_of(piece: Piece, source: LayerSource) -> SecondFrame:
    """The frame of a layer that shows the scene of a piece with other noise.

    Of the piece's own layer the next frame (of the last one, the one before); of another layer its
    only plane, or the one at the same place of as many.

    Raises
    ------
    HDNError
        If there is no such frame.
    """
    stack, own = source.stack, piece.source.stack
    if stack.plane_shape != own.plane_shape:
        sizes = [" × ".join(map(str, reversed(s.plane_shape))) for s in (stack, own)]
        raise HDNError(
            f"{source.name} is {sizes[0]} pixels, {piece.source.name} {sizes[1]}: a second frame "
            "shows the "
            "same scene, pixel by pixel."
        )
    index = list(piece.region.index)
    if len(stack) == 1:
        index = [0] * len(stack.leading_axes)
    elif source.layer is piece.source.layer:
        along = [
            k for k, a in enumerate(stack.leading_axes) if a in "TS" and stack.leading_shape[k] > 1
        ]
        if not along:
            raise HDNError(
                f"{source.name} has no frames along T or S, of which one could be the second frame."
            )
        k = along[-1]
        index[k] += 1 if index[k] + 1 < stack.leading_shape[k] else -1
    elif stack.leading_shape != own.leading_shape:
        raise HDNError(
            f"{source.name} holds {len(stack)} planes: which of them is the second frame? Choose a "
            "layer with "
            "one plane, or one with as many as the image."
        )
    region = Region(tuple(index), piece.region.ys, piece.region.xs)
    return SecondFrame(source, region)


def _identity(model: HDN, judgement: Judgement, piece: Piece) -> dict[str, Any]:
    return {
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "levels_off": list(judgement.settings.off),
        "samples": judgement.settings.samples,
        "seed": judgement.settings.seed,
        "source": piece.source.name,
    }
