"""What restoring from and to OME-Zarr costs over restoring the same array in memory.

Processor time of this process (all threads), in pairs, each pair in both orders; the cheapest case for
the network is the dearest for the files: the mean alone, two samples, or a direct network's one pass.

    python benchmarks/zarr_throughput.py MODEL [--size 1024] [--planes 2] [--pairs 3] [--direct]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.api import FileStack, PlaneRestored, RestorationConfig


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--planes", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--direct", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = hdn.load_model(asked.model)
    student = (
        api.choose_direct(model, model.levels_off(RestorationConfig())) if asked.direct else None
    )
    low, high = model.summary.data_low, model.summary.data_high
    rng = np.random.default_rng(0)
    shape = (asked.planes, asked.size, asked.size)
    counts = rng.normal((low + high) / 2, (high - low) / 8, shape).clip(0).astype(np.uint16)
    place = Path(tempfile.mkdtemp())
    config = RestorationConfig(device="cpu", precision="float32")
    api.write_ome_zarr(place / "in.ome.zarr", counts, "TYX")

    def events(stack, done=()):
        if student is None:
            return api.restore(model, stack, config, done=done)
        return api.restore_direct(model, student, stack, config, done=done)

    def in_memory() -> float:
        began = time.process_time()
        out = np.empty(shape, np.float32)
        for event in events(api.ImageStack(counts, "TYX")):
            if isinstance(event, PlaneRestored):
                out[event.index[0], event.rows] = event.planes["mean"]
        return time.process_time() - began

    def from_and_to_zarr() -> float:
        import zarr

        began = time.process_time()
        array = zarr.open_array(place / "in.ome.zarr" / "0", mode="r")
        stack = FileStack(array, "TYX", "in", path=place / "in.ome.zarr")
        files = api.RestorationFiles(place / "out", stack, config, format="ome-zarr", identity="b")
        with files:
            for event in events(stack, files.done):
                if isinstance(event, PlaneRestored):
                    files.write(event)
        took = time.process_time() - began
        shutil.rmtree(place / "out")
        return took

    in_memory(), from_and_to_zarr()  # imports, compiled kernels
    ratios = []
    for pair in range(asked.pairs):
        both = [in_memory, from_and_to_zarr]
        took = {run.__name__: run() for run in (both if pair % 2 else both[::-1])}
        memory, zarr_s = took["in_memory"], took["from_and_to_zarr"]
        ratios.append(zarr_s / memory)
        print(f"memory {memory:.2f} s, OME-Zarr {zarr_s:.2f} s, ratio {ratios[-1]:.3f}")
    print(
        f"median ratio {np.median(ratios):.3f} ({asked.size} px, {'direct' if student else 'HDN'})"
    )
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
