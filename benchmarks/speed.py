"""Time of training steps and restoration, against what the machine can do and other ways of working.

    python benchmarks/speed.py --preset paper --repeats 3
    python benchmarks/speed.py --clock cpu --threads 1     # where others use the machine too
    python benchmarks/speed.py --careamics /tmp/careamics-venv/bin/python
    python benchmarks/speed.py --psnr MODEL TASK --psnr MODEL TASK --data ../shared/data

The ceiling is the time of the network's bare convolutions (``benchmarks/ceiling.py``) in the precision
that the program computes in here. The published way is that of ``benchmarks/published.py``, with the
same weights and images in the same process; a pass costs the same for every sample, so one is timed
and taken times 100. `careamics` runs in an environment of its own (``benchmarks/careamics_n2v.py``).

``--psnr`` compares the mean of 100 published samples with what this program gives, on crops of a
task's test images, for models trained with ``benchmarks/quality.py --save`` (a task of
``bench/datasets.py``) or ``benchmarks/artefacts.py`` (a task such as ``w2s-pixel``).
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import published
import torch
from artefacts import make_task
from ceiling import Shape, bare, convolutions
from quality import load_datasets
from timing import take_turns

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.devices import choose
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.model.ladder import Ladder, generator_noise
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.training.objective import Objective
from napari_hdn.core.training.optimisation import make_optimizer

SIDE = 512
SAMPLES = (2, 4, 6, 8)  # in antithetic pairs
SEEDS = (0, 1, 2)
SPREAD = 8  # independent samples that are timed together
STEPS = 4  # of training, and of bare convolutions, that are timed together
NORMALISATION = Normalisation(100.0, 30.0)


def noise_model() -> PoissonGaussian:
    return PoissonGaussian([2.0], [0.0], [1.0])


def decoded(samples: int) -> Callable[[Ladder], object]:
    """What a restoration of so many samples calls: the way up once, the way down for each."""

    def run(network: Ladder) -> None:
        rng = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            features = network.encode(torch.zeros(1, 1, SIDE, SIDE))
            size = (samples, *features[-1].shape[-2:])
            features = [f.expand(samples, -1, -1, -1) for f in features]
            choices = network.choices("sample")
            network.decode(features, choices, generator_noise(rng), top_size=size)

    return run


def kept(job: Callable[[], object], times: int = 1) -> Callable[[], object]:
    """A job as this program runs it, so often, with its memory kept meanwhile."""

    def run() -> None:
        with kept_memory():
            for _ in range(times):
                job()

    return run


def ideal(shapes: dict[Shape, int], times: dict[str, float], prefix: str = "") -> float:
    """Seconds of the bare convolutions."""
    return sum(count * times[f"{prefix}{shape}"] for shape, count in shapes.items())


def restoring(config: hdn.TrainingConfig, repeats: int, clock: str) -> None:
    """Time a 512 x 512 plane."""
    torch.manual_seed(0)
    device = choose("cpu")
    dtype = device.dtype("auto")
    plain = Ladder(config.network).eval()
    counts = np.random.default_rng(0).normal(100, 30, (SIDE, SIDE)).astype(np.float32)
    normalised = NORMALISATION.apply(torch.from_numpy(counts))[None, None]
    rng = torch.Generator().manual_seed(0)

    def restore(**choices: object) -> Callable[[], object]:
        chosen = hdn.RestorationConfig(**choices)
        restorer = Restorer(plain, NORMALISATION, noise_model(), chosen, device)
        return kept(lambda: restorer.whole(counts))

    jobs = {
        "plain": lambda: published.sample(plain, normalised, rng),
        "plain kept": kept(lambda: published.sample(plain, normalised, rng)),
        "one": restore(samples=1),
        "pair": restore(samples=2),
        "three": restore(samples=6, batch_size=2),
        "spread": restore(samples=SPREAD, outputs=("std",), batch_size=2),
    }
    shapes = {n: convolutions(plain, decoded(n)) for n in (1, 2)}
    for found in shapes.values():
        jobs |= {str(shape): kept(bare(shape, dtype), STEPS) for shape in found}
    largest = Shape(2, SIDE, SIDE, config.network.channels, config.network.channels, 3, 1, False)
    for name in ("float32", "bfloat16"):
        jobs[name] = kept(bare(largest, getattr(torch, name)), STEPS)
    times = take_turns(jobs, repeats, clock)
    for job in {"float32", "bfloat16", *map(str, shapes[1]), *map(str, shapes[2])}:
        times[job] /= STEPS
    for name in ("float32", "bfloat16"):
        print(f"  bare {largest}, {name}: {2e-9 * largest.multiply_adds / times[name]:.0f} GFLOP/s")
    total = published.SAMPLES * times["plain"]
    print(f"  published, one sample        {times['plain']:8.2f} s; 100 samples {total:.0f} s")
    print(
        f"    had it this program's way with memory {times['plain kept']:5.2f} s a sample: ratios "
        f"would be {times['plain kept'] / times['plain']:.2f} of these"
    )
    one, two = (ideal(shapes[n], times) for n in (1, 2))
    # encoded once; each further batch of two is decoded
    up = sum(times[str(s)] * c for s, c in convolutions(plain, encoded).items())
    many = up + SPREAD / 2 * (two - up)
    for name, label, floor in (
        ("one", "preview, means of all levels", one),
        ("pair", "mean, antithetic pair", two),
        ("three", "mean, three pairs", two + 2 * (two - up)),
    ):
        seconds = times[name]
        print(
            f"  {label:28} {seconds:8.2f} s   {total / seconds:6.0f} x   "
            f"{100 * floor / seconds:3.0f} % of the ceiling"
        )
    each = times["spread"] / SPREAD
    print(
        f"  independent sample, of {SPREAD}     {each:8.2f} s   {times['plain'] / each:6.1f} x each"
        f" {100 * many / times['spread']:3.0f} % of the ceiling"
    )
    mega = sum(c * s.multiply_adds for s, c in shapes[1].items()) / SIDE**2 / 1e6
    print(f"  multiply-adds of one pass: {mega:.2f} million a pixel")


def encoded(network: Ladder) -> None:
    with torch.inference_mode():
        network.encode(torch.zeros(1, 1, SIDE, SIDE))


def training(config: hdn.TrainingConfig, batch: int, repeats: int, clock: str) -> None:
    """Time a training step on the same batch."""
    counts = torch.randn(batch, 1, config.patch_px, config.patch_px) * 30 + 100
    image = torch.zeros(batch, dtype=torch.long)
    rng = torch.Generator().manual_seed(0)
    dtype = choose("cpu").dtype("auto")

    def step(fast: bool) -> Callable[[], object]:
        torch.manual_seed(0)
        network = Ladder(config.network).train()
        if fast:
            network = network.to(memory_format=torch.channels_last)
        objective = Objective(network, noise_model(), NORMALISATION, config.free_bits_per_pixel)
        optimizer = make_optimizer(config, network.parameters())

        def run() -> None:
            optimizer.zero_grad()
            if fast:
                with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                    losses = objective(counts, image, rng)
                losses.loss.backward()
            else:
                losses = objective(counts, image, rng)
                losses.loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
            optimizer.step()

        return run

    def forward(network: Ladder) -> None:
        with torch.no_grad():
            Objective(network, noise_model(), NORMALISATION, 0.0)(counts, image, rng)

    shapes = convolutions(Ladder(config.network), forward)
    jobs = {"plain": step(False), "ours": kept(step(True), STEPS)}
    jobs |= {str(shape): kept(bare(shape, dtype, training=True), STEPS) for shape in shapes}
    times = take_turns(jobs, repeats, clock)
    for job in {"ours", *map(str, shapes)}:
        times[job] /= STEPS
    print(
        f"  training step, {batch} x {config.patch_px}^2: published {times['plain']:.2f} s, "
        f"ours {times['ours']:.2f} s, {times['plain'] / times['ours']:.2f} x, "
        f"{100 * ideal(shapes, times) / times['ours']:.0f} % of the ceiling"
    )


def quality(arguments: argparse.Namespace) -> None:
    """PSNR of the mean of 100 published samples against ours, same weights."""
    datasets = load_datasets(arguments.data)
    for folder, name in arguments.psnr:
        model = hdn.HDN.load(folder)
        if name in datasets.LOADERS:
            task = datasets.LOADERS[name]()
            score = datasets.SCORES[task.score]
        else:
            task = make_task(*name.split("-"), 0, arguments.data)
            score = datasets.psnr
        side, rows = arguments.crop, []
        for noisy, truth in list(zip(task.test, task.truth, strict=True))[: arguments.images]:
            crop = tuple(slice(n // 2 - side // 2, n // 2 + side // 2) for n in noisy.shape)
            counts, truth = np.ascontiguousarray(noisy[crop], dtype=np.float32), truth[crop]
            mean = score(truth, published.mean(model, counts, arguments.samples))
            rows.append([mean, *(ours(model, counts, truth, score, n) for n in SAMPLES)])
        mean, *means = np.mean(rows, axis=0)
        differences = ", ".join(
            f"{n}: {value - mean:+.3f}" for n, value in zip(SAMPLES, means, strict=True)
        )
        print(
            f"  {name:12} {len(rows)} images: mean of {arguments.samples} published samples "
            f"{mean:.3f} dB; ours of so many samples in pairs, dB more: {differences}",
            flush=True,
        )


def ours(
    model: hdn.HDN, counts: np.ndarray, truth: np.ndarray, score: Callable[..., float], samples: int
) -> float:
    """Score of our mean; its own mean over seeds, as one image has some luck."""
    return float(
        np.mean(
            [
                score(truth, model.restore(counts, "YX", samples=samples, seed=seed).mean)
                for seed in SEEDS
            ]
        )
    )


def careamics(python: Path, arguments: argparse.Namespace) -> None:
    """N2V of careamics beside our presets' figures."""
    script = Path(__file__).with_name("careamics_n2v.py")
    command = [
        str(python), str(script), "--side", str(SIDE), "--batch", str(arguments.batch),
        "--threads", str(arguments.threads), "--repeats", str(arguments.repeats),
        "--clock", arguments.clock,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        print(f"careamics: {python} cannot be run: {error}")
        return
    if done.returncode:
        print(f"careamics could not be measured:\n{done.stderr.strip()[-2000:]}")
    else:
        print(done.stdout.strip())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="*", default=list(api.PRESETS), choices=list(api.PRESETS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16, help="for training steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument(
        "--careamics", type=Path, help="python of an environment that has careamics"
    )
    parser.add_argument("--psnr", nargs=2, action="append", metavar=("MODEL", "TASK"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--samples", type=int, default=published.SAMPLES)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.psnr:
        quality(arguments)
        return
    print(
        f"{choose('cpu').label}, torch {torch.__version__}, {arguments.threads} threads, "
        f"medians of {arguments.repeats}, {arguments.clock} time"
    )
    for name in arguments.preset:
        print(f"{name}: restoring {SIDE} x {SIDE}", flush=True)
        restoring(api.PRESETS[name], arguments.repeats, arguments.clock)
        training(api.PRESETS[name], arguments.batch, arguments.repeats, arguments.clock)
    if arguments.careamics:
        careamics(arguments.careamics, arguments)


if __name__ == "__main__":
    main()
