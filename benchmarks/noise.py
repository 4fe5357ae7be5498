"""How well noise models are calibrated on real images, and how long a large stack takes.

    python benchmarks/noise.py --data ../shared/data
    python benchmarks/noise.py --large 1024 1024 100      # a GMM from simulated repeats

Prints, for confocal fields with 50 repeats: how far the curve fitted on one field is from what
another field shows, and how far a single image's estimate is from that of the repeats, over the 1st
to the 99th percentile of the signal; what is said of the structure of the noise; and the curves of
images that were scaled apart, of camera frames and of a diaphragm.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_hdn import api
from napari_hdn.api import CalibrationConfig, ImageStack

FIELDS = (1, 5, 7, 20)
W2S_FIELDS = (*range(1, 13), *range(31, 35))


def stack(array: np.ndarray, name: str) -> ImageStack:
    return ImageStack(array, "TYX"[-array.ndim :], name)


def calibrated(images: list[ImageStack], source: str = "auto", **choices: Any) -> Any:
    inputs = {k: choices.pop(k) for k in ("dark", "clean", "meant_for") if k in choices}
    config = CalibrationConfig(source=source, **choices)
    *_, finished = api.calibrate(images, config, **inputs)
    return finished.calibration


def span(images: np.ndarray) -> np.ndarray:
    """Signals from the 1st to the 99th percentile of the mean image."""
    return np.linspace(*np.percentile(images.mean(axis=0), [1, 99]), 50)


def deviation(model: Any, other: Any, signals: np.ndarray) -> float:
    """The largest relative difference of two models' variances."""
    a, b = model.variance_curve(signals), other.variance_curve(signals)
    return float(np.max(np.abs(a / b - 1)))


def confocal(data: Path) -> None:
    folder = data / "fmd_confocal_bpae_b"
    fields = {i: tifffile.imread(folder / f"fov{i:02d}_raw50.tif") for i in FIELDS}
    whole = {
        i: calibrated([stack(f, f"field {i}")], "repeats", model="poisson_gaussian")
        for i, f in fields.items()
    }
    for i in FIELDS:
        curve = whole[i].noise_model
        drift = next(c.text for c in whole[i].checks if c.name == "drift")
        print(f"field {i}: {curve.describe()}; {drift}")
    for i in FIELDS[:-1]:
        signals = span(fields[20])
        off = deviation(whole[i].noise_model, whole[20].noise_model, signals)
        measured = whole[20].measured[0]
        inside = (measured.signal >= signals[0]) & (measured.signal <= signals[-1])
        there = measured.variance[inside] - measured.rounding[inside]
        model = whole[i].noise_model.variance_curve(measured.signal[inside])
        points = np.abs(model / there - 1)
        print(
            f"field {i} -> 20: fitted curves differ by at most {off:.1%}; measured points by "
            f"{np.median(points):.1%} (median), {points.max():.1%} at most"
        )
    for i in FIELDS:
        worst, gains = [], []
        for k in range(0, 50, 10):
            alone = calibrated([stack(fields[i][k], f"field {i}, frame {k}")], "images")
            worst.append(deviation(alone.noise_model, whole[i].noise_model, span(fields[i])))
            gains.append(float(alone.noise_model.gain[0]))
        print(
            f"field {i}, single images: off by at most {min(worst):.1%} to {max(worst):.1%}; gains "
            f"{min(gains):.3g} to {max(gains):.3g}"
        )


def structures(data: Path) -> None:
    sets = {
        "fmd_confocal_bpae_b, repeats": [
            (i, tifffile.imread(data / f"fmd_confocal_bpae_b/fov{i:02d}_raw50.tif")) for i in FIELDS
        ],
        "fmd_widefield_structured": [
            (c, tifffile.imread(data / f"fmd_widefield_structured/bpae_{c}_noisy.tif"))
            for c in "BGR"
        ],
        "stem_abf_5frames": [("", tifffile.imread(data / "structured_no_gt/stem_abf_5frames.tif"))],
    }
    for channel in range(3):
        sets[f"w2s_widefield ch{channel}"] = [
            (i, tifffile.imread(data / f"w2s_widefield/fov{i:03d}_ch{channel}_noisy.tif"))
            for i in W2S_FIELDS
        ]
    for name, images in sets.items():
        found: dict[str, list[str]] = {}
        for label, image in images:
            structure = calibrated([stack(image, f"{name} {label}")]).structure
            verdict = "not to be told"
            if structure is not None:
                verdict = (
                    f"{structure.verdict} (reach x {structure.reach_x}, y {structure.reach_y}; "
                    f"lag 1 x {structure.profile_x[1]:+.2f}, y {structure.profile_y[1]:+.2f})"
                )
            key = verdict.split(" (")[0]
            found.setdefault(key, []).append(verdict)
        for key, verdicts in found.items():
            print(f"{name}: {len(verdicts)} of {len(images)} {key}, such as {verdicts[0]}")


def scaled_apart(data: Path) -> None:
    noisy, clean = (
        np.stack(
            [tifffile.imread(data / f"w2s_widefield/fov{i:03d}_ch0_{k}.tif") for i in W2S_FIELDS]
        )
        for k in ("noisy", "gt")
    )
    alone = calibrated([stack(noisy, "w2s")], "images").noise_model
    pair = calibrated([stack(noisy, "w2s")], "pair", clean=stack(clean, "w2s clean")).noise_model
    ratio = (alone.gain / pair.gain).numpy()
    print(
        f"w2s_widefield ch0: gains {float(pair.gain.min()):.3g} to {float(pair.gain.max()):.3g} from "
        f"clean images; from single ones {ratio.min():.2f} to {ratio.max():.2f} times that"
    )


def camera(data: Path) -> None:
    folder = data / "camera_frames"
    flat, cells = (tifffile.imread(next(folder.glob(p))) for p in ("*FD*.tif", "*Conv*.tif"))
    cells_stack = stack(cells, "Convallaria")
    from_flat = calibrated([stack(flat, "diaphragm")], "flat_field", meant_for=[cells_stack])
    alone = calibrated([cells_stack], "images")
    signals = np.linspace(*np.percentile(cells, [5, 99]), 30)
    print(f"diaphragm: {from_flat.noise_model.describe()}")
    for check in from_flat.checks:
        print(f"  {check.verdict:9s} {check.name}: {check.text}")
    for remark in from_flat.remarks:
        print(f"  says: {remark}")
    print(f"Convallaria alone: {alone.noise_model.describe()}")
    if from_flat.noise_model.kind == alone.noise_model.kind:
        off = deviation(from_flat.noise_model, alone.noise_model, signals[signals > 600])
        print(f"  above 600 counts the two differ by at most {off:.1%}")


def large(shape: list[int]) -> None:
    height, width, frames = shape
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    photons = 10 + 45 * (1 + np.sin(x / 31) * np.cos(y / 23))
    images = np.empty((frames, height, width), np.uint16)
    for k in range(frames):
        images[k] = rng.poisson(photons) * 2 + 100 + rng.normal(0, 3, photons.shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    model = calibrated([stack(images, "repeats")], "repeats", model="gmm").noise_model
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    signals = np.linspace(*np.percentile(2 * photons + 100, [1, 99]), 50)
    true = 2 * (signals - 100) + 9 + 1 / 12
    off = np.max(np.abs(model.variance_curve(signals) / true - 1))
    print(
        f"{height} x {width} x {frames} repeats, GMM: {seconds:.1f} s, {after - before:.0f} MB beyond "
        f"the images' {images.nbytes / 2**20:.0f} MB, variance within {off:.1%} of the truth"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--large", type=int, nargs=3, metavar=("Y", "X", "T"))
    arguments = parser.parse_args()
    if arguments.data:
        for part in (confocal, structures, scaled_apart, camera):
            part(arguments.data)
    if arguments.large:
        large(arguments.large)


if __name__ == "__main__":
    main()
