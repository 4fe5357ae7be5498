"""The job that generates images from the prior, and holds them against real ones."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import GenerationConfig, JobInput, Notice
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.ui.inspection import Done
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.region import Region
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.likeness import Likeness

COMPARED = 4  # real pieces beside as many generated ones
_MADE = 0.9  # share of the time, where there is something to compare with
_LIKE_PX = 2048  # of a side: enough to know the noise by


@dataclass(frozen=True)
class Real:
    """The image that generated ones are held against, and the plane of it that is shown."""

    source: LayerSource
    index: tuple[int, ...]

    @property
    def name(self) -> str:
        """What to call it."""
        return self.source.name

    def counts(self) -> np.ndarray:
        """(Y, X) the middle of the plane, for its noise; for a worker."""
        y0, y1, x0, x1 = self._middle
        return self.source.stack.crop(self.index, slice(y0, y1), slice(x0, x1))

    @property
    def recorded(self) -> JobInput:
        """What a recipe says of it."""
        return JobInput("real image", self.source.stack, self.index, self._middle)

    @property
    def _middle(self) -> tuple[int, int, int, int]:
        parts: list[int] = []
        for n in self.source.stack.plane_shape:
            length = min(n, _LIKE_PX)
            parts += [(n - length) // 2, (n + length) // 2]
        return parts[0], parts[1], parts[2], parts[3]

    def beside(self, size: tuple[int, int]) -> Region:
        """A place of that size to the right of the plane."""
        x = math.ceil(1.05 * self.source.stack.plane_shape[1])
        return Region(self.index, slice(0, size[0]), slice(x, x + size[1]))


@dataclass(frozen=True)
class Generated:
    """What was generated, all in counts.

    Attributes
    ----------
    model : str
    top_px : int
        How wide a latent of its top level is.
    identity : dict
        What made the images; goes to the metadata of layers.
    config : GenerationConfig
    images : ndarray
        (N, height, width).
    real : Real or None
    pieces : ndarray or None
        (M, Y, X) of the real image: raw ones, or one posterior sample of each.
    likeness : Likeness or None
    """

    model: str
    top_px: int
    identity: dict[str, Any]
    config: GenerationConfig
    images: np.ndarray
    real: Real | None = None
    pieces: np.ndarray | None = None
    likeness: Likeness | None = None


class GenerationJob(Job):
    """Generate images; the last event is `Generated`, which stays here when it is over.

    Parameters
    ----------
    model : HDN
    config : GenerationConfig
    real : Real, optional
        What to hold them against.
    """

    kind = "generation"

    def __init__(self, model: HDN, config: GenerationConfig, real: Real | None = None) -> None:
        n = config.number
        super().__init__(f"generating {n} image{'s' if n > 1 else ''} with {model.name}")
        self.model: HDN | None = model  # until the job is over
        self.config = config
        self.real = real
        self.generated: Generated | None = None

    def work(self) -> Iterator[Any]:
        """Generate, in the worker's thread."""
        model, config, real = self.model, self.config, self.real
        assert model is not None
        like = None if real is None else real.counts()
        told = api.generation_remarks(model, config, chosen=real is not None)
        if like is not None and real is not None:
            told.append(api.range_remark(model, like, real.name))
        for remark in filter(None, told):
            yield Notice(remark, "warning")
        images, number = np.empty((0, config.height, config.width), np.float32), 0
        began, share = time.monotonic(), 1.0 if real is None else _MADE
        for part in api.generate(model, config, like=like, kept=config.number, stop=self.stop):
            if isinstance(part, np.ndarray):
                if number == 0:  # not before the core knows that there is room
                    images = np.empty((config.number, *part.shape), np.float32)
                images[number] = part
                number += 1
            else:
                yield _done(share * part, began)
        if number == 0:
            raise StoppedEarly("Stopped: no image was generated.")
        pieces = None
        if real is not None and not self.stop.requested:
            for part in self._pieces(model, real):
                if isinstance(part, np.ndarray):
                    pieces = part
                else:
                    yield _done(_MADE + (1 - _MADE) * part, began)
        likeness = None
        if pieces is not None:
            likeness = api.compare_with_real(list(pieces), list(images[:COMPARED]))
        made = images[:number]
        recipe = api.job_recipe(
            "generation",
            config,
            [] if real is None else [real.recorded],
            model=model,
            complete=number == config.number,
        )
        yield Generated(
            model.name,
            model.config.network.multiple,
            _identity(model, config) | {"recipe": recipe.model_dump(mode="json")},
            config,
            made,
            real,
            pieces,
            likeness,
        )

    def _pieces(self, model: HDN, real: Real) -> Iterator[float | np.ndarray]:
        """Pieces of the real image, restored unless generated ones have camera noise."""
        config = self.config
        size, number = (config.height, config.width), min(config.number, COMPARED)
        pieces = api.real_pieces(real.source.stack, size, number, config.seed)
        if config.camera_noise:
            yield np.stack(pieces)
        else:
            yield from api.restored_pieces(model, pieces, config, stop=self.stop)

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case Done():
                self.fraction, self.remaining_s = event.fraction, event.remaining_s
            case Generated(images=images):
                self.generated = event
                self.fraction = len(images) / self.config.number
                number, height, width = images.shape
                wanted = self.config.number
                size = f"image{'s' if wanted > 1 else ''} of {height} × {width} pixels"
                if number < wanted:
                    self.end(f"Stopped: {number} of {wanted} {size} kept.")
                else:
                    self.end(f"Generated {number} {size}.")

    def close(self) -> None:
        """Let go of the model."""
        self.model = None


def _done(fraction: float, began: float) -> Done:
    elapsed = time.monotonic() - began
    return Done(fraction, elapsed * (1 / fraction - 1) if fraction else math.inf)


def _identity(model: HDN, config: GenerationConfig) -> dict[str, Any]:
    off = {*model.config.network.deactivated_levels, *config.deactivated_levels}
    return {
        "product": "generated",
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "levels_off": sorted(off),
        "config": config.model_dump(mode="json"),
    }
