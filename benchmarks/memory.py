"""Memory of restoring what is far larger than it: a long stack, and one huge plane, both lazily read.

    python benchmarks/memory.py --case stack --planes 3
    python benchmarks/memory.py --case plane --rows 2

Restores a 2000 x 1024 x 1024 stack, or one 20,000 x 20,000 plane, with 50 samples (mean and standard
deviation) into OME-TIFFs, and tells the process's memory as it goes and when the first pixels were
written. Whole runs take hours; ``--planes`` and ``--rows`` stop after so many planes, or rows of tiles:
memory does not depend on how many follow. ``--samples`` and ``--outputs`` change what is computed. The
network has random weights, which cost the same.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.hdn import HDN
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.training.summary import TrainingSummary
from napari_hdn.io.images import FileStack

SHAPES = {"stack": (2000, 1024, 1024), "plane": (20_000, 20_000)}


class Lazy:
    """Counts that are made when they are read."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __getitem__(self, key: tuple) -> np.ndarray:
        ys, xs = (range(n)[k] for n, k in zip(self.shape[-2:], key[-2:], strict=True))
        rng = np.random.default_rng(ys.start)
        photons = 40 + 30 * np.sin(np.arange(len(ys)) / 17)[:, None] * np.cos(np.array(xs) / 23)
        return (rng.poisson(photons) * 2 + 100).astype(np.uint16)


def model(preset: str) -> HDN:
    """Random weights behind a noise model of these counts."""
    config = hdn.preset(preset)
    summary = TrainingSummary(
        version="0", created="", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=100, data_high=300,
    )  # fmt: skip
    noise = PoissonGaussian([2.0], [-200.0], [4.0])
    return HDN(config, Ladder(config.network).eval(), noise, Normalisation(6, 3, True), summary)


class Watch(threading.Thread):
    """Looks at the process's memory five times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.process = psutil.Process(os.getpid())

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            self.peak = max(self.peak, self.process.memory_info().rss)
            time.sleep(0.2)


def main() -> None:
    """Print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=list(SHAPES), default="stack")
    parser.add_argument("--preset", default="fast", choices=list(api.PRESETS))
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--outputs", nargs="*", default=["mean", "std"])
    parser.add_argument("--planes", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2, help="of tiles, for the plane")
    arguments = parser.parse_args()
    shape = SHAPES[arguments.case]
    axes = "TYX" if len(shape) == 3 else "YX"
    config = hdn.RestorationConfig(
        outputs=tuple(arguments.outputs), samples=arguments.samples, device="cpu"
    )
    stack = FileStack(Lazy(shape), axes, "lazy.tif", path=Path("lazy.tif"))
    trained, stop, watch = model(arguments.preset), api.Stop(), Watch()
    print(f"{arguments.case} {shape}, {arguments.preset}, {config.outputs} of {config.samples}")
    print(f"  before: {psutil.Process().memory_info().rss / 1e9:.2f} GB")
    watch.start()
    began, parts = time.monotonic(), 0
    wanted = arguments.planes if arguments.case == "stack" else arguments.rows
    with tempfile.TemporaryDirectory() as folder:
        files = api.RestorationFiles(Path(folder), stack, config)
        with files:
            for event in api.restore(trained, stack, config, stop=stop):
                if isinstance(event, api.PlaneRestored):
                    files.write(event)
                    parts += 1
                    now = psutil.Process().memory_info().rss / 1e9
                    print(
                        f"  {time.monotonic() - began:7.1f} s: plane {event.index}, rows "
                        f"{event.rows.start} to {event.rows.stop} written; {now:.2f} GB, "
                        f"peak {watch.peak / 1e9:.2f} GB",
                        flush=True,
                    )
                    if parts == wanted:
                        stop.request()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"  peak of the process: {most / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
