r"""Which levels to switch off, and how: the sweep behind the defaults and the advice's thresholds.

    python benchmarks/levels.py --data ../shared/data --models /tmp/models --kinds stripes \
        --seeds 0 1 2 --ways below all scratch --rules prior posterior

Trains a full network on each task of ``artefacts.py`` (kept in ``--models``), then scores on images it
never saw: all levels on; levels 1..m at their prior's mean without retraining; retrained without
them: from the full network, where what is below the levels that stay learns or all of it, and from
scratch, by both rules. Printed as the paper's Tables 3 and 4:
PSNR in dB with the range of the truth, and what is left of the artefact: the correlation of the
residual with the true artefact. ``advice`` is what the inspector says of each test image.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from artefacts import KINDS, ArtefactTask, make_task

import napari_hdn as hdn
from napari_hdn import api

RUNS = ((), (1,), (1, 2), (1, 2, 3))


def psnr(truth: np.ndarray, image: np.ndarray) -> float:
    """PSNR in dB, range = max - min of the truth."""
    error = np.mean((truth.astype(np.float64) - image) ** 2)
    return float(20 * np.log10(np.ptp(truth)) - 10 * np.log10(error))


def score(task: ArtefactTask, restored: list[np.ndarray]) -> dict[str, float]:
    """PSNR, and how much the residual looks like the true artefact."""
    decibel = [psnr(t, r) for t, r in zip(task.truth, restored, strict=True)]
    left = [
        np.corrcoef((r - t).ravel(), a.ravel())[0, 1] if np.ptp(a) else 0.0
        for t, r, a in zip(task.truth, restored, task.artefact, strict=True)
    ]
    return {"psnr": float(np.mean(decibel)), "left": float(np.mean(left))}


def restored(task: ArtefactTask, model: hdn.HDN, off: tuple[int, ...] = ()) -> list[np.ndarray]:
    """The test images, as the Restore dock makes them: one antithetic pair."""
    return [
        model.restore(image, "YX", samples=2, deactivated_levels=off).mean for image in task.test
    ]


def trained(task: ArtefactTask, config: hdn.TrainingConfig, folder: Path, **start: Any) -> hdn.HDN:
    """A model, from its folder if it was trained before."""
    if (folder / "config.json").is_file():
        model = api.load_model(folder)
        if model.summary.stopped or model.config.steps != config.steps:
            raise SystemExit(f"{folder} holds another or a half-trained model; remove it.")
        return model
    stack = api.ImageStack(task.train, "SYX", name=task.name)
    *_, finished = api.train([stack], config, folder=folder, **start)
    return finished.model


def advice(task: ArtefactTask, model: hdn.HDN) -> list[dict[str, Any]]:
    """What the inspector says of each test image."""
    said = []
    for image in task.test:
        *_, finished = api.inspect_levels(model, image)
        inspection = finished.inspection
        said.append(
            {
                "off": list(inspection.advice.off),
                "verdict": inspection.advice.verdict,
                "confidence": inspection.advice.confidence,
                "levels": [
                    {k: getattr(s, k) for k in ("s1", "s2", "s3", "dark", "everywhere", "kl")}
                    for s in inspection.scores
                ],
            }
        )
    return said


def rows(
    task: ArtefactTask, seed: int, chosen: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(way, scores) of one task and seed."""
    stem = task.name.replace(" ", "-") + f"-{seed}"
    config = hdn.preset(chosen.preset, steps=chosen.steps, seed=seed)
    full = trained(task, config, chosen.models / stem)
    yield "noisy input", score(task, task.test)
    for off in RUNS:
        label = f"not retrained, {name(off)} off" if off else "full HDN"
        yield label, score(task, restored(task, full, off))
    yield "advice", {"advice": advice(task, full)}
    for way in chosen.ways:
        for rule in chosen.rules:
            for off in RUNS[1:] if way != "scratch" else RUNS[2:3]:
                variant = api.variant_config(
                    full,
                    off,
                    deactivation=rule,
                    scratch=way == "scratch",
                    learns="all" if way == "all" else "below",
                )
                folder = chosen.models / f"{stem}-{name(off)}-{way}-{rule}"
                model = trained(task, variant, folder, start=full, scratch=way == "scratch")
                label = f"retrained, {name(off)} off, {way}, {rule}"
                yield label, score(task, restored(task, model))


def name(off: tuple[int, ...]) -> str:
    """Levels as in a file's name."""
    return ",".join(map(str, off))


def table(results: list[dict[str, Any]]) -> None:
    """Means over the seeds, with the range of PSNR."""
    tasks = sorted({r["task"] for r in results})
    for task in tasks:
        ways = defaultdict(list)
        for r in results:
            if r["task"] == task:
                ways[r["way"]].append(r)
        print(f"\n{task}")
        for way, found in ways.items():
            if way == "advice":
                for r in found:
                    said = [f"{a['verdict']} {name(tuple(a['off']))}".strip() for a in r["advice"]]
                    print(f"  advice, seed {r['seed']}: {'; '.join(said)}")
                continue
            values = [r["psnr"] for r in found]
            left = np.mean([r["left"] for r in found])
            print(
                f"  {way:42s} {np.mean(values):6.2f} dB ({min(values):.2f} to {max(values):.2f}, "
                f"{len(values)} seeds)   left {left:+.3f}"
            )


def main() -> None:
    """Train what is missing, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="where models are kept")
    parser.add_argument("--bases", nargs="+", default=["w2s"], choices=("w2s", "fmd"))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--preset", default="fast", choices=sorted(api.PRESETS))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--rules", nargs="*", default=[], choices=("prior", "posterior"))
    parser.add_argument("--ways", nargs="*", default=[], choices=("below", "all", "scratch"))
    chosen = parser.parse_args()
    chosen.models.mkdir(parents=True, exist_ok=True)
    kept = chosen.models / "results.jsonl"
    results: list[dict[str, Any]] = []
    for base in chosen.bases:
        for kind in chosen.kinds:
            for seed in chosen.seeds:
                task = make_task(base, kind, seed, chosen.data)
                for way, found in rows(task, seed, chosen):
                    row = {"task": task.name, "seed": seed, "way": way, **found}
                    results.append(row)
                    with kept.open("a") as file:
                        file.write(json.dumps({**row, "at": time.strftime("%F %T")}) + "\n")
                    if "psnr" in found:
                        print(
                            f"# {task.name} seed {seed}: {way:42s} {found['psnr']:6.2f} dB "
                            f"left {found['left']:+.3f}",
                            flush=True,
                        )
    table(results)


if __name__ == "__main__":
    main()
