r"""Do the parts of the trust map say where a restoration is wrong? On images with a known truth.

    python benchmarks/trust.py --data ../shared/data --models /tmp/models --tasks "w2s pixel" "fmd pixel"

Models are those of ``benchmarks/levels.py`` (the same folder). For each: AUC of each map (lower is
taken as "here") for the tenth of the pixels with the largest error relative to the noise, and for the
surroundings of structures that the training images never held: letters 5 and 15 noise standard
deviations bright or 5 dark, and 40 dead clusters of 2 x 2 pixels. Then the predicted spread
against the truth, against a second frame and against repeats drawn around the truth: what the
user's frames would have told.

With ``--repeats FILE`` and ``--model FOLDER``: the same from a real stack of repeats, whose other
frames' mean is the truth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import artefacts
import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

import napari_hdn as hdn
from napari_hdn import api

NEAR_PX = 4.0
FOREIGN = {"letters +5": 5.0, "letters +15": 15.0, "letters -5": -5.0}


def auc(score: np.ndarray, there: np.ndarray) -> float:
    """Chance that a pixel that is there has a higher score than one that is not."""
    score = np.where(np.isfinite(score), score, np.nanmedian(score))
    ranks, inside = rankdata(score.ravel()), there.ravel()
    n, m = int(inside.sum()), int((~inside).sum())
    return float((ranks[inside].sum() - n * (n + 1) / 2) / (n * m))


def letters(shape: tuple[int, int]) -> np.ndarray:
    """(Y, X) bool, four sharp letters."""
    sheet = Image.new("L", shape[::-1], 0)
    draw, (height, width) = ImageDraw.Draw(sheet), shape
    for y, x, text in ((0.12, 0.15, "A"), (0.12, 0.7, "K"), (0.65, 0.15, "W"), (0.67, 0.7, "R")):
        draw.text((x * width, y * height), text, fill=255, font=ImageFont.load_default(48))
    return np.asarray(sheet) > 128


def judged(model: hdn.HDN, counts: np.ndarray, **more: Any) -> Any:
    """What `api.judge_restoration` finds."""
    *_, finished = api.judge_restoration(model, counts, **more)
    return finished.judgement


def maps(judgement: Any) -> dict[str, np.ndarray]:
    """Maps that are low where there is little to be trusted."""
    parts = judgement.trust.parts
    named = {
        "trust": judgement.trust.trust,
        **parts,
        "1 - prior's share": 1 - judgement.prior.share,
    }
    return {k: np.nan_to_num(v, nan=0.0) for k, v in named.items()}


def separation(
    model: hdn.HDN, noisy: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """AUC by what was looked for and by map."""
    found = {}
    plain = judged(model, noisy)
    error = gaussian_filter((plain.mean - truth) ** 2, 2) / gaussian_filter(plain.noise**2, 2)
    worst = error > np.quantile(error, 0.9)
    found["largest errors"] = {k: auc(-v, worst) for k, v in maps(plain).items()}
    mask = letters(noisy.shape)
    near = gaussian_filter(mask.astype(float), NEAR_PX) > 0.1
    for name, height in FOREIGN.items():
        image = noisy + (mask * height * plain.noise).astype(np.float32)
        found[name] = {k: auc(-v, near) for k, v in maps(judged(model, image)).items()}
    dead = np.zeros(noisy.shape, bool)
    for y, x in rng.integers(10, min(noisy.shape) - 10, (40, 2)):
        dead[y : y + 2, x : x + 2] = True
    image = np.where(dead, noisy.max(), noisy).astype(np.float32)
    near = gaussian_filter(dead.astype(float), NEAR_PX) > 0.01
    found["dead pixels"] = {k: auc(-v, near) for k, v in maps(judged(model, image)).items()}
    return found


def true_factor(judgement: Any, truth: np.ndarray) -> float:
    """RMS error of the mean over what its samples predict."""
    n = judgement.settings.samples
    predicted = float(np.mean(judgement.std**2)) * (1 + 1 / n)
    return float(np.sqrt(np.mean((judgement.mean - truth) ** 2) / predicted))


def simulated_frames(truth: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(R, Y, X) more frames of the scene, as `artefacts.make_task` makes pixel noise."""
    rng = np.random.default_rng(seed)
    photons = (truth - artefacts.OFFSET) / artefacts.PHOTON
    shot = rng.poisson(photons, (count, *truth.shape)) * artefacts.PHOTON
    return (shot + artefacts.OFFSET + rng.normal(0, artefacts.READ, shot.shape)).astype(np.float32)


def of_task(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """All numbers of one task."""
    base, kind = name.split()
    task = artefacts.make_task(base, kind, 0, chosen.data)
    model = hdn.HDN.load(chosen.models / f"{base}-{kind}-0")
    noisy, truth = task.test[0], task.truth[0]
    frames = simulated_frames(truth, 12, 5)
    second = judged(model, noisy, second_frame=frames[0])
    repeats = judged(model, noisy, repeats=api.ImageStack(frames, "TYX", name="repeats"))
    return {
        "task": name,
        "separation": separation(model, noisy, truth, np.random.default_rng(0)),
        "factor": {"truth": true_factor(second, truth), **factors(second, repeats)},
        "pure noise": [f.to_json() for f in second.control.flats],
    }


def factors(second: Any, repeats: Any) -> dict[str, Any]:
    """What a second frame and what repeats say."""
    return {
        name: [round(j.spread.factor, 3), round(j.spread.factor_error, 3), round(j.spread.ranks, 2)]
        for name, j in (("second frame", second), ("repeats", repeats))
    }


def of_repeats(chosen: argparse.Namespace) -> dict[str, Any]:
    """The same from real repeats."""
    stack = tifffile.imread(chosen.repeats).astype(np.float32)
    model = hdn.HDN.load(chosen.model)
    truth = stack[1:].mean(axis=0)
    second = judged(model, stack[0], second_frame=stack[len(stack) // 2])
    repeats = judged(model, stack[0], repeats=api.ImageStack(stack, "TYX", name="repeats"))
    return {
        "task": chosen.repeats.name,
        "separation": separation(model, stack[0], truth, np.random.default_rng(0)),
        "factor": {"mean of the others": true_factor(second, truth), **factors(second, repeats)},
        "pure noise": [f.to_json() for f in second.control.flats],
        "calibration": repeats.spread.to_json(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--repeats", type=Path)
    parser.add_argument("--model", type=Path)
    chosen = parser.parse_args()
    results = [of_task(name, chosen) for name in chosen.tasks]
    if chosen.repeats:
        results.append(of_repeats(chosen))
    for result in results:
        print(f"\n{result['task']}")
        for what, by_map in result["separation"].items():
            print(f"  AUC {what:16s}" + "".join(f"  {k} {v:.2f}" for k, v in by_map.items()))
        print(f"  factor {result['factor']}")
        for flat in result["pure noise"]:
            print("  pure noise " + json.dumps({k: round(v, 3) for k, v in flat.items()}))
        if "calibration" in result:
            print(f"  {json.dumps(result['calibration'])}")


if __name__ == "__main__":
    main()
