"""What each latent level holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_hdn.api.noted import noted
from napari_hdn.core.events import InspectionEvent, InspectionFinished, Stop

if TYPE_CHECKING:
    from napari_hdn.core.artefacts import Structure
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.levels.inspection import Inspection
    from napari_hdn.core.levels.view import LevelView


@noted
def inspect_levels(
    model: HDN,
    counts: np.ndarray,
    *,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
    device: str = "auto",
    tile_px: int | None = None,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[InspectionEvent]:
    """What each latent level contributes to a plane; see `core.levels.inspection.inspect`.

    The scores are kept with the model, for the recipes of what is restored with it afterwards.
    """
    from napari_hdn.core.levels.inspection import inspect
    from napari_hdn.core.recipes.looks import remember

    for event in inspect(
        model, counts, boxes=boxes, device=device, tile_px=tile_px, stop=stop, name=name
    ):
        if isinstance(event, InspectionFinished):
            remember(model, event.inspection, name)
        yield event


def level_view(model: HDN, counts: np.ndarray, device: str = "auto") -> LevelView:
    """A piece of an image whose levels can be switched at once; see `core.levels.view`."""
    from napari_hdn.core.levels.inspection import prepare
    from napari_hdn.core.levels.view import LevelView

    return LevelView(prepare(model, device), np.ascontiguousarray(counts, dtype=np.float32))


@noted
def draw_levels(
    model: HDN,
    counts: np.ndarray,
    *,
    origin: Literal["image", "prior"] = "image",
    samples: int = 6,
    seed: int = 0,
    device: str = "auto",
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Images drawn at one level after another (the paper's Fig. 3); see `core.levels.draws`."""
    from napari_hdn.core.levels.draws import draw_levels as _draw
    from napari_hdn.core.levels.inspection import prepare

    counts = np.ascontiguousarray(counts, dtype=np.float32)
    return _draw(
        prepare(model, device), counts, stop or Stop(), origin=origin, samples=samples, seed=seed
    )


def structure_of_difference(difference: np.ndarray, signal: float) -> Structure | None:
    """Autocorrelation of what was taken from a (Y, X) image; None where that is nothing."""
    from napari_hdn.core.artefacts import structure_of_residuals
    from napari_hdn.core.errors import NoiseModelError

    try:
        return structure_of_residuals([difference], signal, "differences")
    except NoiseModelError:
        return None


def artefact_by_level(inspection: Inspection) -> np.ndarray:
    """(n,) variance that each level holds of the artefact, in counts squared, level 1 first."""
    from napari_hdn.core.levels.advice import artefact_of

    noise = float(np.median(inspection.decomposition.noise))
    return artefact_of(inspection.scores) * noise**2


def spoken_levels(levels: Sequence[int]) -> str:
    """Levels as a user reads them; see `core.levels.advice.spoken`."""
    from napari_hdn.core.levels.advice import spoken

    return spoken(levels)


def grid_png(
    groups: Mapping[str, np.ndarray],
    rows: Sequence[str],
    *,
    limits: tuple[float, float] | None = None,
) -> bytes:
    """A PNG with images side by side, such as those drawn level by level; see `io.pictures`."""
    from napari_hdn.io.pictures import grid_png as _grid

    return _grid(groups, rows, limits=limits)
