"""What it costs that several processes agree: processor time and messages of a training step.

Run: ``OMP_NUM_THREADS=1 python benchmarks/together.py [preset]``. Trains for 5 and for 25 steps, in one
process and in two, and takes the difference: starting up does not count. Processor time, not
seconds: waiting for the other process is free, and other programs do not matter.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from torch import nn

from napari_hdn import preset
from napari_hdn.core.model.ladder import Ladder

FEW, MANY, PAIRS = 5, 25, 2


def seconds_of(images: Path, out: Path, name: str, steps: int, devices: int) -> float:
    """Processor time of a whole training, all processes together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["-m", "napari_hdn", "train", str(images), "--preset", name, "--device", "cpu"]
    command += ["--noise", "sigma=12", "--steps", str(steps), "--out", str(out)]
    command += ["--devices", str(devices)]
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "fast"
    config = preset(name)
    network = Ladder(config.network)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    weights = sum(p.numel() for p in network.parameters())
    print(f"{name}: {config.batch_size} patches of {config.patch_px} px, {weights:,} weights")
    print(
        f"a step: 1 message of {4e-6 * weights:.1f} MB, {2 * norms} of {16 * config.network.channels} "
        "bytes or less"
    )
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "cells.tif"
        tifffile.imwrite(images, np.random.default_rng(0).poisson(150, (4, 512, 512)).astype("u2"))
        for pair in range(PAIRS):
            costs = {}
            for devices in (1, 2):
                spent = [
                    seconds_of(images, Path(place) / f"{pair}-{devices}-{n}", name, n, devices)
                    for n in (FEW, MANY)
                ]
                costs[devices] = (spent[1] - spent[0]) / (MANY - FEW)
            print(
                f"a step in 1 process {costs[1]:.2f} s, in 2 together {costs[2]:.2f} s of a processor: "
                f"x {costs[2] / costs[1]:.2f}"
            )


if __name__ == "__main__":
    main()
