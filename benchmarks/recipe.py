"""Processor time to the quality of the published recipe: the published one against ours.

    python benchmarks/recipe.py --data ../shared/data --task fmd_bpae

The published recipe (Adamax at a constant 3e-4, float32, ELU, dropout 0.2, no stabilisation, no
averaged weights) trains for 1200 steps. With the published network and batch of 64 that takes a day
on two cores, so both are scaled down, to 4 levels of one block, 32 channels, batches of 16 patches
of 64 x 64 pixels (``--levels``, ``--blocks``, ``--channels``, ``--batch`` for others). Ours is a preset
as users have it, with several budgets. Both get the noise model that the program estimates; both are
scored by the mean of an antithetic pair. Time is the processor's, of all threads, of the training alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from quality import load_datasets

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.devices import choose
from napari_hdn.core.training.preparation import prepare


def score(model: hdn.HDN, task: object, datasets: object) -> float:
    """Mean over the test images."""
    values = []
    for noisy, truth in zip(task.test, task.truth, strict=True):
        axes = "YX"
        restored = model.restore(
            np.ascontiguousarray(noisy, dtype=np.float32), axes, samples=2
        ).mean
        values.append(datasets.SCORES[task.score](truth, restored))
    return float(np.mean(values))


def stack_of(task: object) -> ImageStack:
    train = np.ascontiguousarray(task.train, dtype=np.float32)
    return ImageStack(train, "TYX" if train.ndim == 3 else "YX", task.name)


def train_as_published(task: object, datasets: object, arguments: argparse.Namespace) -> None:
    """Print score and processor time as training goes on."""
    network = hdn.NetworkConfig(
        levels=arguments.levels, blocks=arguments.blocks, channels=arguments.channels,
        latent_channels=arguments.channels // 2, activation="elu", dropout=0.2,
    )  # fmt: skip
    config = hdn.TrainingConfig(
        network=network, steps=arguments.steps, minutes=None, batch_size=arguments.batch,
        optimizer="adamax", learning_rate=3e-4, warmup_steps=0, stabilise=False, device="cpu",
        precision="float32", ema_decay=0.0,
    )  # fmt: skip
    run = prepare([stack_of(task)], config, choose("cpu"), hdn.Stop())
    run.network.to(memory_format=torch.contiguous_format)
    rng, spent = torch.Generator(), 0.0
    for step in range(arguments.steps):
        began = time.process_time()
        counts, image = run.patches.batch(step)
        rng.manual_seed(step)
        run.optimizer.zero_grad()
        losses = run.objective(counts, image, rng)
        losses.loss.backward()
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.gradient_clip)
        run.optimizer.step()
        spent += time.process_time() - began
        if (step + 1) % 200 == 0:
            run.averaged.network.load_state_dict(run.network.state_dict())
            model = run.model(seconds=spent, ended="complete", device=choose("cpu"), folder=None)
            db = score(model, task, datasets)
            print(
                f"  published recipe, {step + 1:5d} steps {spent:8.0f} s {db:6.2f} dB", flush=True
            )


def train_ours(task: object, datasets: object, preset: str, steps: int) -> None:
    """Print score and processor time of one budget."""
    began = time.process_time()
    model = None
    config = api.preset(preset, steps=steps, device="cpu")
    for event in hdn.train([stack_of(task)], config):
        if isinstance(event, hdn.TrainingFinished):
            model = event.model
    spent = time.process_time() - began
    db = score(model, task, datasets)
    print(f"  ours, {preset}, {steps:5d} steps {spent:8.0f} s {db:6.2f} dB", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="fmd_bpae")
    parser.add_argument(
        "--steps", type=int, default=1200, help="of the published recipe; 0: only ours"
    )
    parser.add_argument("--budgets", type=int, nargs="*", default=[75, 150, 300, 600])
    parser.add_argument("--preset", default="fast", choices=list(api.PRESETS))
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    datasets = load_datasets(arguments.data)
    task = datasets.LOADERS[arguments.task]()
    print(f"{task.name}; {arguments.threads} threads; seconds of the processor", flush=True)
    for steps in arguments.budgets:
        train_ours(task, datasets, arguments.preset, steps)
    if arguments.steps:
        train_as_published(task, datasets, arguments)


if __name__ == "__main__":
    main()
