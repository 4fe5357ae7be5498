"""Cost of a restoration against pixels and against samples, over two decades each.

    python benchmarks/scaling.py --image docs/images/scaling.png

Restores with `napari_hdn.HDN.restore`, a network of the Fast preset: the mean of an antithetic pair for
images of 128^2 to 1536^2 pixels, and the mean and spread of 3 to 300 samples of 192^2 pixels.
Time is the processor's, so that it can run beside other work; medians of the repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from napari_hdn import api
from napari_hdn.core.hdn import HDN
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.training.summary import TrainingSummary

SIDES = (128, 192, 272, 400, 576, 832, 1136, 1536)
SAMPLES = (3, 6, 10, 20, 40, 80, 150, 300)
SAMPLES_SIDE = 192


def model() -> HDN:
    """The Fast preset with random weights: cost does not depend on them."""
    torch.manual_seed(0)
    config = api.PRESETS["fast"]
    summary = TrainingSummary(
        version="", created="", steps=0, seconds=0, stopped=False, device="", data=(),
        data_low=0.0, data_high=250.0,
    )  # fmt: skip
    return HDN(
        config,
        Ladder(config.network).eval(),
        PoissonGaussian([2.0], [0.0], [1.0]),
        Normalisation(100.0, 30.0),
        summary,
        None,
    )


def seconds(network: HDN, side: int, repeats: int, **choices: object) -> float:
    """Median processor time of one restoration."""
    counts = np.random.default_rng(0).normal(100, 30, (side, side)).astype(np.float32)
    times = []
    for _ in range(repeats):
        began = time.process_time()
        network.restore(counts, "YX", device="cpu", **choices)
        times.append(time.process_time() - began)
    return statistics.median(times)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of log y against log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """What each call costs and what each of x adds, by least squares of the relative errors."""
    (start, each), *_ = np.linalg.lstsq(np.stack([1 / y, x / y], axis=1), np.ones_like(y))
    return float(start), float(each)


def _short(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds > 1e-3 else f"{1e6 * seconds:.1f} µs"


def plot(path: Path, panels: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Draw the panels side by side, with the fitted slope."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (label, x, y) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        axes.loglog(x, y, "o", color="tab:blue", label="measured")
        start, each = line(x, y)
        label_fit = f"{1e3 * start:.0f} ms + {_short(each)} each"
        axes.loglog(x, start + each * x, "--", color="tab:gray", label=label_fit)
        axes.set(
            xlabel=label, ylabel="processor time / s", title=f"fitted exponent {slope(x, y):.2f}"
        )
        axes.grid(True, which="both", alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print a table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = model()
    seconds(network, SIDES[0], 2, samples=2)  # warm
    by_pixels, by_samples = [], []
    print("mean of an antithetic pair")
    for side in SIDES:
        by_pixels.append(seconds(network, side, arguments.repeats, samples=2))
        print(
            f"  {side:5d}^2 {by_pixels[-1]:8.2f} s  {1e6 * by_pixels[-1] / side**2:6.2f} µs/pixel",
            flush=True,
        )
    print(f"mean and standard deviation, {SAMPLES_SIDE}^2")
    for n in SAMPLES:
        by_samples.append(
            seconds(network, SAMPLES_SIDE, arguments.repeats, samples=n, outputs=("mean", "std"))
        )
        print(f"  {n:5d} {by_samples[-1]:8.2f} s  {by_samples[-1] / n:6.3f} s/sample", flush=True)
    panels = [
        ("pixels (mean of a pair)", np.array(SIDES, float) ** 2, np.array(by_pixels)),
        (f"samples (of {SAMPLES_SIDE}²)", np.array(SAMPLES, float), np.array(by_samples)),
    ]
    for label, x, y in panels:
        start, each = line(x, y)
        off = 100 * float(np.abs((start + each * x) / y - 1).max())
        print(
            f"{label}: exponent {slope(x, y):.2f}; {start:.3f} s + {_short(each)} each, "
            f"within {off:.0f} %"
        )
    if arguments.image:
        plot(arguments.image, panels)


if __name__ == "__main__":
    main()
