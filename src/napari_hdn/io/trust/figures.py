"""The pictures of a trust report: arrays and numbers in, PNG out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.io.pictures import contrast

if TYPE_CHECKING:
    from napari_hdn.core.trust.control import Control
    from napari_hdn.core.trust.prior_share import PriorShare
    from napari_hdn.core.trust.spread import SpreadCalibration

DPI = 150
PICTURE_IN = 2.1  # side of an image; four fit in the width of an A4 page
BLUE, ORANGE, GREY = "#1f6fb4", "#d9730d", "#888888"
_SMALL = 7  # points


def pictures(
    images: Sequence[tuple[str, np.ndarray, str, tuple[float, float], str]],
) -> bytes:
    """Images side by side, each with its own scale.

    Parameters
    ----------
    images : sequence of (title, image, colormap, (low, high), unit)
        NaN is shown in magenta.
    """
    from matplotlib import colormaps

    def paint(figure: Any) -> None:
        for axes, (title, image, colours, limits, unit) in zip(
            figure.subplots(1, len(images), squeeze=False)[0], images, strict=True
        ):
            cut_off = colormaps[colours].with_extremes(bad="#ff00ff")
            shown = axes.imshow(
                image, cmap=cut_off, vmin=limits[0], vmax=limits[1], interpolation="nearest"
            )
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
            bar = figure.colorbar(shown, ax=axes, shrink=0.75, aspect=16, pad=0.02)
            bar.set_label(unit)

    height, width = images[0][1].shape
    tall = min(max(height / width, 0.4), 2.0) * PICTURE_IN * 0.72 + 0.35
    return _png((PICTURE_IN * len(images), tall), paint)


def calibration_curve(spread: SpreadCalibration) -> bytes:
    """Observed error over predicted spread, with the line that it should follow."""
    from matplotlib.ticker import NullFormatter

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        x, y = np.array(spread.predicted), np.array(spread.observed)
        most = 1.05 * max(float(x.max()), float((y + spread.error).max()))
        least = 0.7 * float(x.min())
        ends = np.array([least, 1.4 * float(x.max())])
        axes.plot(ends, ends, color=GREY, lw=1, ls="--", label="as predicted")
        if spread.measured:
            fit = spread.factor * ends
            axes.plot(ends, fit, color=ORANGE, lw=1, label=f"× {spread.factor:.2f}")
        axes.errorbar(x, y, yerr=spread.error, fmt="o", ms=3, lw=1, color=BLUE, label="observed")
        if x.max() > 5 * x.min() and x.min() > 0 and (y > 0).all():  # most bins would be at 0
            axes.set(xscale="log", yscale="log", xlim=ends)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_minor_formatter(NullFormatter())
                axis.set_major_formatter("{x:g}")
        else:
            axes.set(xlim=(0, ends[1]), ylim=(0, most))
        axes.set_xlabel("predicted std (counts)")
        axes.set_ylabel("observed error, RMS (counts)")
        axes.legend(frameon=False)

    return _png((2.7, 2.2), paint)


def level_bars(prior: PriorShare) -> bytes:
    """Counts that each level draws and that the image decided, and the prior's share."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        levels = np.arange(1, prior.levels + 1)
        rms = [
            np.sqrt((a.astype(np.float64) ** 2).mean(axis=(1, 2)))
            for a in (prior.spread, prior.decided)
        ]
        axes.barh(levels - 0.2, rms[0], 0.38, color=ORANGE, label="differs")
        axes.barh(levels + 0.2, rms[1], 0.38, color=BLUE, label="decided")
        for level, share, far in zip(levels, prior.of_levels, np.max(rms, axis=0), strict=True):
            off = level in prior.off
            axes.text(far, level, "  off" if off else f"  {share:.2f}", va="center", fontsize=7)
        axes.set_yticks(levels, [f"level {k}" for k in levels])
        axes.margins(x=0.15)
        axes.set_xlabel("RMS (counts); number: the prior's share")
        axes.legend(frameon=False)

    return _png((2.7, 2.2), paint)


def residual_plot(signal: Sequence[float], variance: Sequence[float]) -> bytes:
    """Variance of what was taken away, in units of the noise model's, over the signal."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.axhspan(0.9, 1.1, color="#dddddd", lw=0)
        axes.axhline(1, color=GREY, lw=1, ls="--")
        axes.plot(signal, variance, "o-", ms=3, lw=1, color=BLUE)
        axes.set_ylim(0, max(2.0, 1.1 * max(variance)))
        axes.set_xlabel("signal (counts)")
        axes.set_ylabel("variance / noise model's")

    return _png((2.7, 2.2), paint)


def control_pictures(control: Control) -> bytes:
    """Pure noise above, what the network makes of it below; all in units of the noise."""

    def paint(figure: Any) -> None:
        grid = figure.subplots(2, len(control.flats), squeeze=False)
        for column, flat in enumerate(control.flats):
            for axes, image, reach in (
                (grid[0, column], flat.noisy, 3.0),
                (grid[1, column], flat.picture, 0.75),
            ):
                shown = axes.imshow(image, cmap="gray", vmin=-reach, vmax=reach)
                axes.set_axis_off()
            grid[0, column].set_title(f"{flat.signal:.4g} counts", fontsize=_SMALL)
        figure.colorbar(shown, ax=grid[1], shrink=0.75, aspect=12, pad=0.02).set_label(
            "of the noise's std"
        )

    return _png((1.2 * len(control.flats) + 0.4, 2.6), paint)


def image_limits(*images: np.ndarray) -> tuple[float, float]:
    """One contrast for all of them."""
    low, high = contrast(images)
    return (low, high) if high > low else (low, low + 1.0)


def _png(size: tuple[float, float], paint: Any) -> bytes:
    # the object interface: no pyplot and no rcParams, which belong to the whole process
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=_SMALL)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(_SMALL)
        if (legend := axes.get_legend()) is not None:
            for text in legend.get_texts():
                text.set_fontsize(_SMALL)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": "napari-hdn"})
    return file.getvalue()
