r"""Real artefacts: restored with all levels and without those that the inspector advises.

    python benchmarks/real_artefacts.py --data ../shared/data --models /tmp/models --out /tmp/pictures

Trains on the images themselves, inspects them, follows the advice, retrains below, and writes a
strip of pictures each: raw, all levels, without, removed, and the truth where it is known. Prints the
autocorrelation in the dark before and after, and PSNR where a truth is known (FMD wide field).
Pictures are 8 bit and cropped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from levels import name, psnr
from PIL import Image
from scipy.ndimage import gaussian_filter

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.artefacts.autocorrelation import autocorrelation

CROP_PX = 256
LAGS = (1, 2, 4, 8)

Read = Callable[[Path], tuple[np.ndarray, "np.ndarray | None"]]


def stem(data: Path) -> tuple[np.ndarray, None]:
    """Five STEM frames with scan-line noise."""
    return tifffile.imread(data / "structured_no_gt/stem_abf_5frames.tif"), None


def curtains(data: Path) -> tuple[np.ndarray, None]:
    """A micrograph with curtaining."""
    return tifffile.imread(data / "structured_no_gt/nacreous_domain.tif")[None], None


def wide_field(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Three channels of a wide-field shot, with the means of 50."""
    folder = data / "fmd_widefield_structured"
    noisy, truth = (
        np.stack([tifffile.imread(folder / f"bpae_{c}_{kind}.tif") for c in "BGR"])
        for kind in ("noisy", "gt")
    )
    return noisy, truth


TASKS: dict[str, Read] = {"stem": stem, "curtains": curtains, "widefield": wide_field}


def in_the_dark(image: np.ndarray, dark: np.ndarray) -> str:
    """RMS of what is left without slow changes, and its autocorrelation along y and x."""
    fine = image - gaussian_filter(image, 16.0)
    lags = autocorrelation([np.where(dark, fine, np.nan)], max(LAGS)).correlation
    middle = len(lags) // 2
    along = {
        a: [lags[middle + k * (a == "y"), middle + k * (a == "x")] for k in LAGS] for a in "yx"
    }
    told = "; ".join(f"{a} " + " ".join(f"{v:+.2f}" for v in along[a]) for a in "yx")
    return f"RMS {fine[dark].std():8.1f}   lags {', '.join(map(str, LAGS))} px: {told}"


def richest(image: np.ndarray) -> tuple[slice, slice]:
    """The piece with the most structure in it."""
    smooth = gaussian_filter(image, 4.0)
    corners = [
        (y, x)
        for y in range(0, max(1, image.shape[0] - CROP_PX + 1), 32)
        for x in range(0, max(1, image.shape[1] - CROP_PX + 1), 32)
    ]
    y, x = max(corners, key=lambda c: smooth[c[0] : c[0] + CROP_PX, c[1] : c[1] + CROP_PX].var())
    return slice(y, y + CROP_PX), slice(x, x + CROP_PX)


def strip(images: list[np.ndarray], removed: np.ndarray, path: Path) -> None:
    """Write crops side by side: images in one contrast, what was removed in its own."""
    crop = richest(images[1])
    low, high = np.percentile(images[1][crop], [0.5, 99.7])
    size = np.percentile(np.abs(removed[crop]), 99.5)
    shown = [(i[crop] - low) / max(high - low, 1e-9) for i in images]
    shown.insert(3, removed[crop] / max(2 * size, 1e-9) + 0.5)
    padded = [np.pad(np.clip(s, 0, 1), 2, constant_values=1) for s in shown]
    Image.fromarray((255 * np.concatenate(padded, axis=1)).astype(np.uint8)).save(path)


def look(task: str, chosen: argparse.Namespace) -> None:
    """One task, from training to pictures."""
    images, truth = TASKS[task](chosen.data)
    stack = api.ImageStack(images, "SYX", name=task)
    folder = chosen.models / f"real-{task}"
    if (folder / "config.json").is_file():
        model = api.load_model(folder)
    else:
        model = trained([stack], hdn.preset("fast", steps=chosen.steps), folder=folder)
    for number in range(len(images) if truth is not None else 1):
        counts = images[number].astype(np.float32)
        *_, finished = api.inspect_levels(model, counts)
        inspection = finished.inspection
        print(f"\n{task} {number}: {inspection.advice.in_words()}")
        if inspection.structure is not None:
            print(f"  raw: {inspection.structure.in_words()}")
        for score in inspection.scores:
            print(f"  level {score.level}: {score.in_words()}")
        off = inspection.advice.off or chosen.otherwise
        smooth = gaussian_filter(counts, 8.0)
        dark = smooth <= np.quantile(smooth, 0.25)
        ways: dict[str, np.ndarray] = {"raw": counts}
        ways["all levels"] = restored(model, counts)
        ways[f"{name(off)} off"] = restored(model, counts, off)
        if chosen.below:
            variant = folder.with_name(f"{folder.name}-{name(off)}-below")
            config = api.variant_config(model, off)
            if (variant / "config.json").is_file():
                below = api.load_model(variant)
            else:
                below = trained([stack], config, folder=variant, start=model)
            ways[f"{name(off)} off, retrained below"] = restored(below, counts)
        for way, image in ways.items():
            decibel = "" if truth is None else f"   {psnr(truth[number], image):.2f} dB"
            print(f"  {way:28s} {in_the_dark(image, dark)}{decibel}")
        full, without = ways["all levels"], list(ways.values())[-1]
        known = [] if truth is None else [truth[number].astype(np.float32)]
        path = chosen.out / f"{task}_{number}.png"
        strip([counts, full, without, *known], full - without, path)


def trained(stacks: list[api.ImageStack], config: hdn.TrainingConfig, **how: Any) -> hdn.HDN:
    """Train, printing what a user would be told."""
    for event in api.train(stacks, config, **how):
        if isinstance(event, api.Notice):
            print(f"# {event.text}", flush=True)
    return event.model


def restored(model: hdn.HDN, counts: np.ndarray, off: tuple[int, ...] = ()) -> np.ndarray:
    """An antithetic pair's mean."""
    return model.restore(counts, "YX", samples=2, deactivated_levels=off).mean


def main() -> None:
    """Run the tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--below", action="store_true", help="retrain below as well")
    parser.add_argument(
        "--otherwise", nargs="*", type=int, default=(1, 2), help="if nothing is advised"
    )
    chosen = parser.parse_args()
    chosen.otherwise = tuple(chosen.otherwise)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for task in chosen.tasks:
        look(task, chosen)


if __name__ == "__main__":
    main()
