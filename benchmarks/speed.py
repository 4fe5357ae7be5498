"""Training steps and restoration of a 512 x 512 image, as ratios against the published way of working.

    python benchmarks/speed.py --preset paper --repeats 3
    python benchmarks/speed.py --psnr MODEL --data ../shared/data --task fmd_bpae

The published way, written plainly: float32, torch's ELU, the default memory format, and the whole
network, encoder included, run once for each of 100 independent samples. It gets the same weights and
the same images in the same process; the two take turns, and medians are compared. It is spared what
else the published code did (building the autograd graph in prediction, the likelihood, keeping all
samples), so the ratios are on the low side. A pass costs the same for every sample, so a few are
timed and taken times 100.

``--psnr`` compares the mean of 100 such samples with what this program gives, on crops of a task's
test images, for a model trained with ``benchmarks/quality.py --save``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from quality import load_datasets
from torch.nn import functional

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.devices import choose
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.model import blocks
from napari_hdn.core.model.ladder import Ladder, generator_noise
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.objective import Objective
from napari_hdn.core.optimisation import make_optimizer
from napari_hdn.core.restoration import Restorer

SIDE = 512
PUBLISHED_SAMPLES = 100
PAIRS = (2, 4, 8)  # samples in antithetic pairs


@contextmanager
def plain_activations():
    """Torch's own activations instead of the faster forms of the same functions."""
    fast = blocks.activate
    plain = {"elu": functional.elu, "silu": functional.silu, "relu": functional.relu}
    blocks.activate = lambda x, kind: plain[kind](x)
    try:
        yield
    finally:
        blocks.activate = fast


def plain_sample(network: Ladder, normalised: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """One sample as published: the whole network, float32."""
    with torch.no_grad(), plain_activations():
        features = network.encode(normalised)
        return network.decode(features, network.choices("sample"), generator_noise(rng)).signal


def take_turns(jobs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each job, after one run of each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def restoring(config: hdn.TrainingConfig, repeats: int) -> None:
    """Time a 512 x 512 plane."""
    torch.manual_seed(0)
    device = choose("cpu")
    plain = Ladder(config.network).eval()
    noise = PoissonGaussian([2.0], [0.0], [1.0])
    normalisation = Normalisation(100.0, 30.0)
    counts = np.random.default_rng(0).normal(100, 30, (SIDE, SIDE)).astype(np.float32)
    normalised = normalisation.apply(torch.from_numpy(counts))[None, None]
    rng = torch.Generator().manual_seed(0)

    def restore(**choices: object) -> Callable[[], object]:
        restorer = Restorer(plain, normalisation, noise, hdn.RestorationConfig(**choices), device)

        def run() -> None:
            with kept_memory():
                list(restorer.plane(counts, 0, hdn.Stop()))

        return run

    times = take_turns(
        {
            "plain": lambda: plain_sample(plain, normalised, rng),
            "one": restore(samples=1),
            "pair": restore(samples=2),
            "spread": restore(samples=8, std=True),
        },
        repeats,
    )
    published = PUBLISHED_SAMPLES * times["plain"]
    print(f"  published, one sample        {times['plain']:8.2f} s; 100 samples {published:.0f} s")
    print(
        f"  mean, antithetic pair        {times['pair']:8.2f} s   {published / times['pair']:6.0f} x"
    )
    print(
        f"  preview, means of all levels {times['one']:8.2f} s   {published / times['one']:6.0f} x"
    )
    each = times["spread"] / 8
    print(f"  independent sample, of 8     {each:8.2f} s   {times['plain'] / each:6.1f} x each")


def training(config: hdn.TrainingConfig, batch: int, repeats: int) -> None:
    """Time a training step on the same batch."""
    counts = torch.randn(batch, 1, config.patch_px, config.patch_px) * 30 + 100
    image = torch.zeros(batch, dtype=torch.long)
    rng = torch.Generator().manual_seed(0)
    bfloat16 = choose("cpu").bfloat16

    def step(fast: bool) -> Callable[[], object]:
        torch.manual_seed(0)
        network = Ladder(config.network).train()
        if fast:
            network = network.to(memory_format=torch.channels_last)
        noise = PoissonGaussian([2.0], [0.0], [1.0])
        normalisation = Normalisation(100.0, 30.0)
        objective = Objective(network, noise, normalisation, config.free_bits_per_pixel)
        optimizer = make_optimizer(config, network.parameters())

        def run() -> None:
            optimizer.zero_grad()
            if fast:
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    losses = objective(counts, image, rng)
                losses.loss.backward()
            else:
                with plain_activations():
                    losses = objective(counts, image, rng)
                    losses.loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
            optimizer.step()

        return run

    times = take_turns({"plain": step(False), "ours": step(True)}, repeats)
    ratio = times["plain"] / times["ours"]
    print(
        f"  training step, {batch} x {config.patch_px}^2: published {times['plain']:.2f} s, "
        f"ours {times['ours']:.2f} s ({1 / times['ours']:.2f} steps/s), {ratio:.2f} x"
    )


def quality(arguments: argparse.Namespace) -> None:
    """PSNR of the mean of 100 published samples against ours, same weights."""
    model = hdn.HDN.load(arguments.psnr)
    datasets = load_datasets(arguments.data)
    task = datasets.LOADERS[arguments.task]()
    score, side = datasets.SCORES[task.score], arguments.crop
    device = choose("cpu")
    rng = torch.Generator().manual_seed(0)
    rows = []
    for noisy, truth in list(zip(task.test, task.truth, strict=True))[: arguments.images]:
        crop = slice(noisy.shape[0] // 2 - side // 2, noisy.shape[0] // 2 + side // 2)
        counts, truth = np.ascontiguousarray(noisy[crop, crop]), truth[crop, crop]
        restorer = Restorer(
            model.network, model.normalisation, model.noise_model, hdn.RestorationConfig(), device
        )
        curve = restorer._curve(counts, torch.device("cpu"))
        normalised = model.normalisation.apply(torch.from_numpy(counts), curve)[None, None]
        total = torch.zeros(side, side)
        for _ in range(PUBLISHED_SAMPLES):
            sample = plain_sample(model.network, normalised, rng)[0, 0]
            total += model.normalisation.invert(sample, curve)
        published = score(truth, (total / PUBLISHED_SAMPLES).numpy())
        pair = score(truth, model.restore(counts, "YX", samples=2).mean)
        rows.append((published, pair))
        print(
            f"  {task.name}: 100 published samples {published:.3f} dB, pair {pair:.3f} dB",
            flush=True,
        )
    published, pair = np.mean(rows, axis=0)
    print(f"  mean: published {published:.3f} dB, pair {pair:.3f} dB, {pair - published:+.3f} dB")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="*", default=list(api.PRESETS), choices=list(api.PRESETS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16, help="for training steps")
    parser.add_argument("--psnr", type=Path, help="a trained model: compare PSNR instead of time")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--task", default="fmd_bpae")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--images", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.psnr:
        quality(arguments)
        return
    print(f"{choose('cpu').label}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in arguments.preset:
        print(f"{name}: restoring {SIDE} x {SIDE}")
        restoring(api.PRESETS[name], arguments.repeats)
        training(api.PRESETS[name], arguments.batch, arguments.repeats)


if __name__ == "__main__":
    main()
