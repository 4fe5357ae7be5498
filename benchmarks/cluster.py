"""What a restoration costs by processor time, alone and through dask.distributed, and what follows.

Figures are processor time, not time on the clock: other programs on the machine do not count.

    python benchmarks/cluster.py MODEL [MODEL ...] --size 1024 --planes 6 --terabytes 10
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import tifffile
import torch

from napari_hdn import api
from napari_hdn.core.hdn import HDN
from napari_hdn.io.cluster.crew import Crew

ROUNDS = 2


def seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def image_like(model: HDN, planes: int, size: int, folder: Path) -> api.FileStack:
    """Noise of the counts that a model knows: what it costs does not depend on what is to be seen."""
    low, high = model.summary.data_low, model.summary.data_high
    rng = np.random.default_rng(0)
    counts = rng.normal((low + high) / 2, max(high - low, 1) / 8, (planes, size, size))
    path = folder / "noise.tif"
    tifffile.imwrite(path, counts.clip(0, 65535).astype(np.uint16), photometric="minisblack")
    return api.open_images([path], axes="TYX")[0]


def alone(model: HDN, stack: api.FileStack, config: api.RestorationConfig) -> float:
    """Processor seconds of one process and one thread, in memory."""
    torch.set_num_threads(1)
    return seconds(lambda: list(api.restore(model, stack, config)))


def as_zarr(model: HDN, stack: api.FileStack, config: api.RestorationConfig, out: Path) -> float:
    """The same, written as OME-Zarr."""

    def work() -> None:
        files = api.RestorationFiles(out, stack, config, format="ome-zarr", identity="benchmark")
        with files:
            for event in api.restore(model, stack, config):
                if isinstance(event, api.PlaneRestored):
                    files.write(event)

    return seconds(work)


def by_workers(
    crew: Crew, model: HDN, stack: api.FileStack, config: api.RestorationConfig, out: Path
) -> float:
    """Processor seconds of client, scheduler and workers together, written as OME-Zarr."""
    out.mkdir(parents=True)
    children = psutil.Process().children(recursive=True)

    def spent() -> float:
        times = [child.cpu_times() for child in children if child.is_running()]
        return sum(t.user + t.system for t in times) + time.process_time()

    before = spent()
    agreed = api.agree(crew, model, stack, config, folder=out)
    files = api.RestorationFiles(
        out, stack, agreed.config, format="ome-zarr", identity=agreed.identity,
        rows=agreed.file_rows,
    )  # fmt: skip
    with files:
        for _ in api.restore_by(crew, agreed, files):
            pass
    return spent() - before


def measure(folder: Path, planes: int, size: int, terabytes: float) -> None:
    model = api.load_model(folder)
    net = model.config.network
    config = api.RestorationConfig(device="cpu")
    with tempfile.TemporaryDirectory() as place, api.hire(workers=1) as hired:
        crew = replace(hired, threads=1)  # waiting threads would count as work
        here = Path(place)
        stack = image_like(model, planes, size, here)
        pixels = planes * size * size
        alone(model, stack, config)  # warms up
        by_workers(crew, model, stack, config, here / "first")
        figures: dict[str, list[float]] = {"alone": [], "zarr": [], "workers": []}
        for turn in range(ROUNDS):  # in turns, so that what else runs here meets all alike
            figures["alone"].append(alone(model, stack, config))
            figures["zarr"].append(as_zarr(model, stack, config, here / f"z{turn}"))
            figures["workers"].append(by_workers(crew, model, stack, config, here / f"w{turn}"))
    best = {name: min(values) for name, values in figures.items()}
    mp = {name: pixels / value / 1e6 for name, value in best.items()}
    hours = terabytes * 1e12 / 2 / (mp["workers"] * 1e6) / 3600
    print(
        f"{folder.name}: {net.levels} levels, {net.channels} channels, {net.trunk} trunk, "
        f"{planes} x {size} x {size}, mean of a pair\n"
        f"  alone, in memory   {mp['alone']:.3f} Mpx per core-second\n"
        f"  alone, OME-Zarr    {mp['zarr']:.3f} ({best['zarr'] / best['alone']:.3f} of the time)\n"
        f"  through dask       {mp['workers']:.3f} ({best['workers'] / best['zarr']:.3f} of that)\n"
        f"  {terabytes:g} TB of 16 bits: {hours:,.0f} core-hours"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--planes", type=int, default=6)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--terabytes", type=float, default=10)
    chosen = parser.parse_args(arguments)
    for folder in chosen.models:
        measure(folder, chosen.planes, chosen.size, chosen.terabytes)


if __name__ == "__main__":
    main()
