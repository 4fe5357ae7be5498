"""Single posterior samples, on demand: the same number gives the same image whenever it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import DeviceName, RestorationConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.events import Stop
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.restoring.convergence import Convergence, MeanSpread
from napari_hdn.core.restoring.drawing import Drawing
from napari_hdn.core.restoring.restoration import checked_reader
from napari_hdn.core.restoring.restorer import FLIPS, Draw, Restorer
from napari_hdn.core.restoring.tiled import Rows

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN

PAIRS = 16  # that the law of the mean's error is measured with


class Sampler:
    """Draws the samples of a stack one by one, as `core.restoring.restoration.restore` draws them.

    Parameters
    ----------
    model : HDN
    stack : ImageStack
    config : RestorationConfig
        Levels, seed, flips, channel, tiles, device; outputs do not matter.
    """

    def __init__(self, model: HDN, stack: ImageStack, config: RestorationConfig) -> None:
        self.stack = stack.of_channel(config.channel)
        self._flips = config.flips
        self._restorer = Restorer(
            model.network,
            model.normalisation,
            model.noise_model,
            config.model_copy(update={"outputs": ("mean",)}),
            choose(config.device),
        )

    def draw(self, sample: int, index: tuple[int, ...] = (), *, sign: float = 1.0) -> np.ndarray:
        """Sample number ``sample``, from 0, of a plane.

        Parameters
        ----------
        sample : int
        index : tuple of int
            Of the plane, along the leading axes of the stack.
        sign : float
            -1 for its antithetic partner.

        Returns
        -------
        ndarray
            (Y, X) float32 counts.

        Raises
        ------
        ImageError
            If the plane cannot be read, or holds NaN or infinite pixels.
        """
        turn = sample % len(FLIPS) if self._flips else 0
        self._restorer.draws = [Draw(sample, sign, turn)]
        shape = self.stack.leading_shape
        number = int(np.ravel_multi_index(index, shape)) if shape else 0
        rows = [
            part.planes["mean"]
            for part in self._restorer.plane(
                checked_reader(self.stack, index), self.stack.plane_shape, number, Stop()
            )
            if isinstance(part, Rows)
        ]
        return np.concatenate(rows)


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
    """Draw independent posterior samples of a plane: yields fractions done, last the samples.

    Parameters
    ----------
    model : HDN
    counts : ndarray
        (Y, X) camera counts.
    samples : int
        How many; the first ones do not depend on it.
    number : int
        Of the plane in its stack, so that its samples are those that restoring the stack draws.
    seed : int
        The same seed draws the same samples.
    off : sequence of int
        Levels to switch off.
    stop : Stop, optional
        Looked at after every batch of samples; then nothing more is yielded.

    Yields
    ------
    float or ndarray
        Last (N, Y, X) float32 counts.
    """
    counts = np.ascontiguousarray(counts, dtype=np.float32)
    everything = slice(None), slice(None)
    counts = checked_reader(ImageStack(counts, "YX"), ())(*everything)
    drawing = Drawing(model, samples, seed=seed, off=off, device=device, tile_px=tile_px)
    with kept_memory():
        yield from drawing.draw(counts, stop or Stop(), number=number)


def measure_convergence(
    model: HDN,
    counts: np.ndarray,
    config: RestorationConfig,
    *,
    pairs: int = PAIRS,
    stop: Stop | None = None,
) -> Iterator[float | Convergence]:
    """Measure on an image how the error of the mean falls with the number of samples.

    Groups of n samples have means that scatter around the limit with the variance that the mean of n
    samples has: it is measured for n = 1, 2, 4, ... among the same draws, for independent samples and
    for antithetic pairs.

    Parameters
    ----------
    model : HDN
    counts : ndarray
        (Y, X) camera counts, a few hundred pixels a side are enough.
    config : RestorationConfig
        Levels, seed, flips, device.
    pairs : int
        To draw.
    stop : Stop, optional
        Looked at after every sample; then nothing more is yielded.

    Yields
    ------
    float or Convergence
        Fractions done, last the law.
    """
    stack = ImageStack(np.ascontiguousarray(counts, dtype=np.float32), "YX")
    sampler = Sampler(model, stack, config.model_copy(update={"channel": None}))
    singles, means = [], []
    with kept_memory():
        for k in range(pairs):
            plus = sampler.draw(k)
            singles.append(plus)
            if stop is not None and stop.requested:
                return
            yield (2 * k + 1) / (2 * pairs)
            means.append((plus + sampler.draw(k, sign=-1.0)) / 2)
            if stop is not None and stop.requested:
                return
            yield (k + 1) / pairs
    yield law_of(np.stack(singles), np.stack(means))


def law_of(singles: np.ndarray, means: np.ndarray) -> Convergence:
    """The law from (K, Y, X) independent samples and means of antithetic pairs."""
    n = len(singles)
    counts = [1]
    while counts[-1] * 4 <= n:
        counts.append(counts[-1] * 2)
    by_single = [_variance_of_means(singles, c) for c in counts]
    by_pair = [_variance_of_means(means, c // 2) if c > 1 else float("nan") for c in counts]
    spread = MeanSpread(by_single[0], _variance_of_means(means, 1), n, n)
    return Convergence(spread, tuple(counts), tuple(by_single), tuple(by_pair))


def _variance_of_means(images: np.ndarray, size: int) -> float:
    """Unbiased variance of the means of groups of so many images, mean over the pixels."""
    groups = len(images) // size
    grouped = images[: groups * size].reshape(groups, size, *images.shape[1:])
    return float(grouped.mean(axis=1, dtype=np.float64).var(axis=0, ddof=1).mean())
