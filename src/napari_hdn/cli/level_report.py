"""What was found about the latent levels, as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hdn.core.levels.inspection import Inspection
    from napari_hdn.core.levels.scores import LevelScores

_WIDTH = 100
_LEGEND = (
    "Level 1 is the finest. Share: of the variance of all contributions. KL: nats per pixel. "
    "S1: strength in the dark against the bright (noise: about 1, structures: near 0). "
    "S2: correlated as the noise of the raw image is (1: the same). "
    "S3: lines along the direction of that noise (above 3 dB)."
)


def report(inspection: Inspection, where: str, pixel_um: float | None = None) -> list[str]:
    """A table of the levels, top first, in words too; then the advice and its reasons.

    Parameters
    ----------
    inspection : Inspection
    where : str
        Which image, plane and region it is about.
    pixel_um : float, optional
        Side of a pixel, micrometres.
    """
    height, width = inspection.counts.shape
    lines = [f"Levels of {inspection.model} on {where}: {height} x {width} px (y, x)"]
    if inspection.structure is not None:
        noise, _, _ = inspection.structure.in_words().partition(". ")
        lines += _wrapped(f"{noise.rstrip('.')}.", "  ")
    lines += ["", _row("level", "details", "share", "KL", "S1", "S2", "S3 dB")]
    for score in reversed(inspection.scores):
        lines.append(_numbers(score, pixel_um))
        lines += _wrapped(score.in_words(), " " * 7)
    lines += ["", *_wrapped(_LEGEND, ""), ""]
    lines += _wrapped(f"Advice: {inspection.advice.in_words()}", "", "  ")
    for reason in inspection.advice.reasons:
        lines += _wrapped(f"- {reason}", "  ", "    ")
    for warning in inspection.warnings:
        lines += _wrapped(f"Warning: {warning}", "", "  ")
    if inspection.advice.off:
        off = ",".join(map(str, inspection.advice.off))
        lines.append(f"  To see it: napari-hdn restore MODEL IMAGE --out DIR --deactivate {off}")
    return lines


def _numbers(score: LevelScores, pixel_um: float | None) -> str:
    low, high = score.scale_px
    details = f"{low}-{high} px"
    if pixel_um is not None:
        details += f", {pixel_um * low:.3g}-{pixel_um * high:.3g} µm"
    s2 = "" if score.s2 is None else f"{score.s2:.2f}"
    share = f"{100 * score.share:.1f} %"
    return _row(
        str(score.level),
        details,
        share,
        f"{score.kl:.4f}",
        f"{score.s1:.2f}",
        s2,
        f"{score.s3:+.1f}",
    )


def _row(level: str, details: str, *numbers: str) -> str:
    return f"{level:>5}  {details:<24}" + "".join(f"{number:>9}" for number in numbers)


def _wrapped(text: str, begin: str, further: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=begin,
        subsequent_indent=begin if further is None else further,
        break_on_hyphens=False,
    )
