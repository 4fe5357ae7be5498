"""How near estimates of time and memory are to what jobs take.

Each case runs in a process of its own: first the estimate, then the job. Peak memory is what the process
held at most besides what it held before the job (Linux only). Time is that of the processor, with one
thread, in both, so that other programs on the machine do not matter.

    python benchmarks/estimates.py MODEL [DIRECT_NETWORK]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "3 planes of 512, mean": {"shape": (3, 512, 512)},
    "1 plane of 512, 20 samples, mean, std": {"shape": (1, 512, 512), "outputs": ("mean", "std")},
    "1 plane of 256, 20 samples, MAP, quantiles": {
        "shape": (1, 256, 256),
        "outputs": ("map", "quantiles"),
    },
    "1 plane of 2000 x 1500, mean": {"shape": (1, 2000, 1500)},
    "1 plane of 1000, tiles of 256, mean": {"shape": (1, 1000, 1000), "tile_px": 256},
    "20 planes of 100 x 140, mean": {"shape": (20, 100, 140)},
    "2 planes of 1024, direct": {"shape": (2, 1024, 1024), "direct": True},
    "training, fast, 40 steps": {"preset": "fast", "steps": 40},
    "training, balanced, 15 steps": {"preset": "balanced", "steps": 15},
    "training, paper with batch 8, 4 steps": {"preset": "paper", "steps": 4, "batch_size": 8},
}


def held(name: str) -> int:
    """``VmRSS``, now, or ``VmHWM``, at most, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def run(case: dict[str, Any], model_folder: str, direct: str | None) -> dict[str, float]:
    import numpy as np
    import torch

    from napari_hdn import api

    rng = np.random.default_rng(1)
    if "preset" in case:
        changes = {k: v for k, v in case.items() if k in ("steps", "batch_size")}
        config = api.preset(
            case["preset"], noise=api.NoiseConfig(source="gaussian", sigma=9), **changes
        )
        stacks = [
            api.ImageStack(rng.poisson(80, (4, 256, 256)).astype(np.float32), "TYX", "made up")
        ]
        estimate = lambda: api.estimate_training(config)  # noqa: E731
        work = lambda: api.train(stacks, config)  # noqa: E731
    else:
        model = api.load_model(model_folder)
        student = api.load_direct(direct) if case.get("direct") else None
        given = {k: v for k, v in case.items() if k in ("outputs", "tile_px")}
        config = api.RestorationConfig(**given)
        low, high = model.summary.data_low, model.summary.data_high
        image = rng.uniform(low, high, case["shape"]).astype(np.float32)
        stacks = [api.ImageStack(image, "TYX", "made up")]
        estimate = lambda: api.estimate_restoration(model, stacks, config, student=student)  # noqa: E731
        work = lambda: (  # noqa: E731
            api.restore(model, stacks[0], config)
            if student is None
            else api.restore_direct(model, student, stacks[0], config)
        )
    torch.set_num_threads(1)
    if case["part"] == "estimate":
        from napari_hdn.core.estimates import restoration, training

        clock = SimpleNamespace(perf_counter=time.process_time, monotonic=time.process_time)
        restoration.time = training.time = clock  # type: ignore[assignment]
        began = time.process_time()
        told = estimate()
        took = time.process_time() - began
        return {
            "seconds": told.seconds,
            "bytes": told.memory_bytes,
            "probe": took,
            "words": told.in_words(),
        }
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began = time.process_time()
    took = 0.0
    for event in work():
        if isinstance(event, api.TrainingStarted):
            began = time.process_time()
        if isinstance(event, api.TrainingStep):  # what comes at the end is not a step
            took = (time.process_time() - began) / event.step * config.steps
    return {"seconds": took or time.process_time() - began, "bytes": held("VmHWM") - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("direct", nargs="?")
    parser.add_argument("--case", help="used inside")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(run(json.loads(given.case), given.model, given.direct)))
        return
    places = [given.model] + ([given.direct] if given.direct else [])
    for name, case in CASES.items():
        if case.get("direct") and not given.direct:
            continue
        results = []
        for part in ("estimate", "job"):
            told = json.dumps({**case, "part": part})
            command = [sys.executable, __file__, *places, "--case", told]
            results.append(json.loads(subprocess.check_output(command).splitlines()[-1]))
        estimated, real = results
        print(
            f"{name:45} time {estimated['seconds']:7.1f} s of {real['seconds']:7.1f} s "
            f"(x {estimated['seconds'] / real['seconds']:.2f}), "
            f"memory {estimated['bytes'] / 1e9:5.2f} GB of {real['bytes'] / 1e9:5.2f} GB "
            f"(x {estimated['bytes'] / real['bytes']:.2f}), probe {estimated['probe']:.1f} s: "
            f"{estimated['words']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
