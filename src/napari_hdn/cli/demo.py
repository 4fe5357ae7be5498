"""The demo: simulated cells with line noise, restored, against the truth."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_hdn import api
from napari_hdn.api import FileStack, RestorationConfig, Sample, Stop, TrainingConfig
from napari_hdn.cli import jobs
from napari_hdn.cli.terminal import Progress

# the two finest levels see about 4 px, as far as the lines reach: switched off, as in HDN3-6
LINE_LEVELS = (1, 2)
SAMPLES = 16
ZOOM = 2


@dataclass(frozen=True)
class Comparison:
    """A restored stack beside its truth."""

    title: str
    image: np.ndarray  # (T, Y, X) counts
    psnr: float  # dB, mean over frames


def run_demo(
    out: Path, config: TrainingConfig, progress: Progress, stop: Stop, *, show: bool | None = None
) -> list[Comparison]:
    """Simulate, train, restore, compare, write, and show where there is a display.

    Parameters
    ----------
    out : Path
        Folder to write to; another number is added if it is not empty.
    config : TrainingConfig
        How to train.
    progress, stop
        See `napari_hdn.cli.terminal`.
    show : bool, optional
        Open napari at the end; by default where there is a display.

    Returns
    -------
    list of Comparison
        Noisy, restored with all levels, restored without the levels of the lines; what a stop
        prevented is missing.
    """
    folder = _empty_folder(out)
    sample = api.cells_with_stripes()
    stack = _save_sample(sample, folder)
    progress.say(
        f"Simulated {sample.name}: {len(sample.noisy)} frames of "
        f"{' x '.join(map(str, sample.truth.shape))} pixels, in {folder}"
    )
    finished = jobs.train([stack], config, folder / "model", progress, stop)
    results = [Comparison("noisy", sample.noisy, psnr(sample, sample.noisy))]
    std: np.ndarray | None = None
    off = tuple(i for i in LINE_LEVELS if i < config.network.levels)
    runs = [
        ("all levels", "", RestorationConfig(deactivated_levels=(), device=config.device)),
        (
            f"without levels {', '.join(map(str, off))}",
            f"-without-{'-'.join(map(str, off))}",
            RestorationConfig(
                deactivated_levels=off,
                samples=SAMPLES,
                outputs=("mean", "std"),
                device=config.device,
            ),
        ),
    ]
    # a stopped training has a model that can be shown; then a second Ctrl-C aborts
    restoring = Stop() if stop.requested else stop
    for title, tag, choice in runs:
        written = jobs.restore(
            finished.model, [stack.path], choice, jobs.Outputs(folder, tag=tag), progress, restoring
        )
        if restoring.requested:
            return results
        images = [np.asarray(s.array) for s in api.open_images(written.paths)]
        results.append(Comparison(f"restored, {title}", images[0], psnr(sample, images[0])))
        std = images[1] if len(images) > 1 else std
    for result in results:
        progress.say(f"PSNR against the truth: {result.psnr:5.2f} dB  {result.title}")
    assert std is not None, "the last run asks for it"
    picture = folder / "before-after-std.png"
    draw_picture(sample, results, std).save(picture)
    progress.say(f"Wrote {picture}")
    if (has_display() if show is None else show) and not restoring.requested:
        progress.say("Opening napari; close its window to end.")
        _show(sample, results, std)
    return results


def psnr(sample: Sample, image: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, range = that of the truth; mean over frames."""
    truth = sample.truth.astype(np.float64)
    spread = truth.max() - truth.min()
    errors = ((image.astype(np.float64) - truth) ** 2).mean(axis=(-2, -1))
    return float(np.mean(20 * np.log10(spread) - 10 * np.log10(errors)))


def has_display() -> bool:
    """Whether a window can be opened here: a screen, and a Qt binding for napari."""
    screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    bindings = ("PyQt6", "PySide6", "PyQt5", "PySide2")
    return screen and any(importlib.util.find_spec(name) for name in bindings)


def draw_picture(sample: Sample, results: Sequence[Comparison], std: np.ndarray) -> Image.Image:
    """The first frame before and after, its standard deviation and the truth, with figures."""
    low, high = float(sample.truth.min()) - 10, float(np.quantile(sample.truth, 0.999))
    panels = [(f"{r.title}: {r.psnr:.2f} dB", r.image[0], low, high) for r in results]
    spread = float(np.quantile(std[0], 0.999))
    panels.append((f"standard deviation, 0 to {spread:.0f} counts", std[0], 0.0, spread))
    panels.append(("truth", sample.truth, low, high))
    columns, caption, gap = 3, 28, 8
    height, width = (ZOOM * n for n in sample.truth.shape)
    rows = -(-len(panels) // columns)
    sheet = Image.new(
        "L", (columns * (width + gap) + gap, rows * (height + caption + gap) + gap), 255
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for number, (title, pixels, black, white) in enumerate(panels):
        left = gap + number % columns * (width + gap)
        top = gap + number // columns * (height + caption + gap)
        grey = np.clip((pixels - black) / max(white - black, 1e-6), 0, 1) * 255
        panel = Image.fromarray(grey.astype(np.uint8)).resize(
            (width, height), Image.Resampling.NEAREST
        )
        draw.text((left, top + 2), title, fill=0, font=font)
        sheet.paste(panel, (left, top + caption))
    return sheet


def _empty_folder(out: Path) -> Path:
    folder, number = out, 2
    while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        folder = out.with_name(f"{out.name}-{number}")
        number += 1
    return folder


def _save_sample(sample: Sample, folder: Path) -> FileStack:
    size = {"X": sample.pixel_size_um, "Y": sample.pixel_size_um}
    metadata = api.ImageMetadata(size)
    name = sample.name.replace(" ", "-")
    api.write_ome_tiff(folder / f"{name}.ome.tif", sample.noisy, "TYX", metadata=metadata)
    api.write_ome_tiff(folder / f"{name}-truth.ome.tif", sample.truth, "YX", metadata=metadata)
    return api.open_images([folder / f"{name}.ome.tif"])[0]


def _show(sample: Sample, results: Sequence[Comparison], std: np.ndarray) -> None:
    """Open the pictures side by side in napari and wait until the window is closed."""
    import napari

    viewer = napari.Viewer(title="napari-hdn demo")
    scale = (sample.pixel_size_um,) * 2
    limits = (float(sample.truth.min()) - 10, float(np.quantile(sample.truth, 0.999)))
    placed = {"units": ("µm", "µm"), "axis_labels": ("y", "x"), "scale": scale}
    timed = {
        "units": ("pixel", "µm", "µm"),
        "axis_labels": ("t", "y", "x"),
        "scale": (1.0, *scale),
    }
    viewer.add_image(sample.truth, name="truth", contrast_limits=limits, **placed)
    viewer.add_image(std, name="standard deviation", colormap="magma", **timed)
    for result in reversed(results):
        title = f"{result.title}: {result.psnr:.2f} dB"
        viewer.add_image(result.image, name=title, contrast_limits=limits, **timed)
    viewer.grid.enabled = True
    viewer.reset_view()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is written: Ctrl-C may end it
    napari.run()
