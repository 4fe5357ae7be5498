r"""Whether a direct network restores as well as the model that taught it, and at what cost.

    OMP_NUM_THREADS=1 python benchmarks/direct.py --data ../shared/data --models /tmp/models \
        --tasks fmd_bpae w2s_ch0 stripes --sizes small coarse --steps 3000

The teachers are *Fast* models that learned 800 steps; one that is not in ``--models`` is trained first.
The direct networks learn from the teacher's training images, by `api.distil` as a user does. All
are scored against the truth on images that none of them saw, by the score of the task, and timed as
processor seconds of this process per megapixel of the test images as one stack, from counts to counts:
all take turns, and medians are compared. ``said`` is what the program tells a user who has no truth:
the loss in dB against the mean of 16 samples on held-out pieces, if the posterior is right. ``--keep``
saves the direct networks, and takes those that are there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from artefacts import make_task
from quality import load_datasets

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.devices import choose

# task: (levels switched off, folder of the teacher)
TASKS: dict[str, tuple[tuple[int, ...], str]] = {
    "fmd_bpae": ((), "direct-fmd_bpae"),
    "w2s_ch0": ((), "direct-w2s_ch0"),
    "stripes": ((1, 2), "w2s-stripes-0"),
}
TEACHER_STEPS = 800
SIZES: dict[str, dict[str, Any]] = {
    "small": {"unshuffle": 2, "widths": (32, 48, 64)},
    "medium": {"unshuffle": 2, "widths": (48, 80, 112)},
    "coarse": {"unshuffle": 4, "widths": (64, 96, 128)},
}
TEACHER = {"one pass": 1, "pair": 2, "4 pairs": 8}  # samples

Way = Callable[[api.ImageStack], list[np.ndarray]]


def load_task(name: str, data: Path) -> Any:
    """A task with train, test, truth and mean_score."""
    datasets = load_datasets(data)
    if name != "stripes":
        return datasets.LOADERS[name]()
    made = make_task("w2s", "stripes", 0, data)  # what the teachers of levels.py learned from
    return datasets.Task(name, made.train, made.test, made.truth, "psnr")


def load_teacher(folder: Path, stack: api.ImageStack) -> hdn.HDN:
    """The trained model of a task; trained first if it is not there."""
    if not (folder / "config.json").is_file():
        list(api.train([stack], hdn.preset("fast", steps=TEACHER_STEPS), folder=folder))
    return hdn.HDN.load(folder)


def walked(events: Any) -> list[np.ndarray]:
    """The mean or median of the planes of a restoration."""
    restored = (event.planes for event in events if isinstance(event, api.PlaneRestored))
    return [image for planes in restored for image in planes.values()]


def take_turns(ways: dict[str, Way], images: api.ImageStack, repeats: int) -> dict[str, float]:
    """Median processor seconds of each, after one run of each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            began = time.process_time()
            way(images)
            if turn:
                times[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def taught(
    model: hdn.HDN, stack: api.ImageStack, config: api.DirectConfig, folder: Path | None
) -> tuple[Any, float]:
    """A direct network, and the processor minutes that it took."""
    if folder is not None and folder.exists():
        return api.load_direct(folder), float("nan")
    began = time.process_time()
    *_, finished = api.distil(model, [stack], config, folder=folder)
    return finished.student, (time.process_time() - began) / 60


def run(name: str, chosen: argparse.Namespace) -> None:
    """Teach and compare on one task."""
    task = load_task(name, chosen.data)
    off, folder = TASKS[name]
    stack = api.ImageStack(task.train, "SYX", name=task.name)
    model = load_teacher(chosen.models / folder, stack)
    ways: dict[str, Way] = {}
    remarks: dict[str, str] = {}
    for label, samples in TEACHER.items():
        config = hdn.RestorationConfig(samples=samples, deactivated_levels=off)
        ways[label] = lambda images, c=config: walked(api.restore(model, images, c))
    plain = hdn.RestorationConfig(deactivated_levels=off)
    for learns in chosen.learns:
        for size in chosen.sizes:
            settings = {"network": SIZES[size], "learns": learns, "deactivated_levels": off}
            settings |= {"minutes": None, "steps": chosen.steps}
            place = chosen.keep and chosen.keep / f"{name}-{size}-{learns}-{chosen.steps}"
            student, minutes = taught(
                model, stack, api.DirectConfig.model_validate(settings), place
            )
            label = f"direct, {size}, {learns}"
            marks = student.summary.marks
            remarks[label] = (
                f"{student.parameters:,} values, {minutes:.1f} processor minutes; said "
                f"{marks.loss_db:.2f} dB (pair {marks.pair_loss_db:.2f}), agreement "
                f"{marks.agreement_db:.1f} dB"
            )
            print(f"# {name}, {label}: {remarks[label]}", flush=True)
            ways[label] = lambda images, s=student: walked(
                api.restore_direct(
                    model, s, images, plain.model_copy(update={"outputs": (s.config.learns,)})
                )
            )
    images = api.ImageStack(np.stack(task.test), "SYX", name=task.name)
    cost = take_turns(ways, images, chosen.repeats)
    scores = {k: task.mean_score(way(images)) for k, way in ways.items()}
    for label in ways:
        print(
            f"{name:9s} {label:24s} {scores[label]:6.2f} dB {scores[label] - scores['pair']:+.2f}   "
            f"{1e6 * cost[label] / images.array.size:6.2f} s/Mpx {cost['pair'] / cost[label]:5.1f} x   "
            f"{remarks.get(label, '')}",
            flush=True,
        )


def main() -> None:
    """Run the tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="where teachers are kept")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--sizes", nargs="+", default=["small"], choices=list(SIZES))
    parser.add_argument("--learns", nargs="+", default=["mean"], choices=("mean", "median"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder for the direct networks")
    chosen = parser.parse_args()
    print(f"# {choose('cpu').label}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in chosen.tasks:
        run(name, chosen)


if __name__ == "__main__":
    main()
