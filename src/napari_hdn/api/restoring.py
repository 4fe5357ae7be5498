"""Restoring, drawing samples, generating."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.api.noted import noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import DeviceName, GenerationConfig, RestorationConfig
from napari_hdn.core.events import RestorationEvent, Stop

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.likeness import Likeness
    from napari_hdn.core.restoring.convergence import Convergence
    from napari_hdn.core.restoring.restorer import Restorer
    from napari_hdn.core.restoring.sampling import Sampler


@noted
def restore(
    model: HDN,
    stack: ImageStack,
    config: RestorationConfig,
    *,
    stop: Stop | None = None,
    done: Collection[tuple[int, ...]] = (),
    restorer: Restorer | None = None,
) -> Iterator[RestorationEvent]:
    """Restore a stack plane by plane; see `napari_hdn.core.restoring.restoration.restore`."""
    from napari_hdn.core.restoring.restoration import restore as _restore

    return _restore(model, stack, config, stop=stop, done=done, restorer=restorer)


def restorer_for(model: HDN, config: RestorationConfig) -> Restorer:
    """A network ready to restore many images; see `core.restoring.restoration.restorer_for`."""
    from napari_hdn.core.restoring.restoration import restorer_for as _restorer_for

    return _restorer_for(model, config)


def asked_digest(
    model: HDN, config: RestorationConfig, student: Direct | None = None, **more: Any
) -> str:
    """What tells a restoration from others; see `napari_hdn.core.identity.asked_digest`."""
    from napari_hdn.core.identity import asked_digest as _digest

    return _digest(model, config, student, **more)


def draw_samples(
    model: HDN,
    counts: np.ndarray,
    samples: int,
    *,
    number: int = 0,
    seed: int = 0,
    off: Sequence[int] = (),
    device: DeviceName = "auto",
    tile_px: int | None = None,
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Draw independent posterior samples of a plane; see `core.restoring.sampling.draw_samples`."""
    from napari_hdn.core.restoring.sampling import draw_samples as _draw

    return _draw(
        model,
        counts,
        samples,
        number=number,
        seed=seed,
        off=off,
        device=device,
        tile_px=tile_px,
        stop=stop,
    )


def sampler(model: HDN, stack: ImageStack, config: RestorationConfig) -> Sampler:
    """Draws the samples of a restoration one by one; see `core.restoring.sampling.Sampler`."""
    from napari_hdn.core.restoring.sampling import Sampler

    return Sampler(model, stack, config)


@noted
def measure_convergence(
    model: HDN, counts: np.ndarray, config: RestorationConfig, *, stop: Stop | None = None
) -> Iterator[float | Convergence]:
    """How the mean's error falls with the samples; see `core.restoring.sampling.measure_convergence`."""
    from napari_hdn.core.restoring.sampling import measure_convergence as _measure

    return _measure(model, counts, config, stop=stop)


def range_remark(model: HDN, counts: np.ndarray, name: str) -> str:
    """A warning where an image is far outside what a model was trained on, else nothing."""
    from napari_hdn.core.restoring.restoration import range_remark as _remark

    return _remark(model, counts, name)


@noted
def generate(
    model: HDN,
    config: GenerationConfig,
    *,
    like: np.ndarray | None = None,
    kept: int = 1,
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Images from the prior, of any size; see `napari_hdn.core.generation.generate`."""
    from napari_hdn.core.generation import generate as _generate

    return _generate(model, config, like=like, kept=kept, stop=stop)


def generation_remarks(model: HDN, config: GenerationConfig, *, chosen: bool) -> list[str]:
    """What to know of the counts of generated images; see `napari_hdn.core.generation.remarks`."""
    from napari_hdn.core.generation import remarks

    return remarks(model, config, chosen=chosen)


def real_pieces(
    stack: ImageStack, size: tuple[int, int], number: int, seed: int = 0
) -> list[np.ndarray]:
    """Pieces of real images to hold generated ones against; see `core.generation`."""
    from napari_hdn.core.generation import real_pieces as _pieces

    return _pieces(stack, size, number, seed)


def restored_pieces(
    model: HDN, pieces: Sequence[np.ndarray], config: GenerationConfig, *, stop: Stop | None = None
) -> Iterator[float | np.ndarray]:
    """A posterior sample of each piece; see `napari_hdn.core.generation.restored_pieces`."""
    from napari_hdn.core.generation import restored_pieces as _restored

    return _restored(model, pieces, config, stop)


def compare_with_real(real: Sequence[np.ndarray], generated: Sequence[np.ndarray]) -> Likeness:
    """A few numbers of real against generated images; see `napari_hdn.core.likeness.compare`."""
    from napari_hdn.core.likeness import compare

    return compare(real, generated)
