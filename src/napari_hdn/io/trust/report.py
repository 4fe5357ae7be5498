"""The trust report: one page that needs nothing else."""

from __future__ import annotations

import base64
import html
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import napari_hdn
from napari_hdn.io.trust import figures
from napari_hdn.io.trust.words import CAVEATS, NOT_DONE, TITLES, conclude

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Check
    from napari_hdn.core.trust.judgement import Judgement

_SIGNS = {"good": "✓", "doubtful": "!", "bad": "✗"}
_STYLE = """
@page { size: A4; margin: 10mm 12mm; }
body { font: 9pt/1.3 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1c1c1c;
  background: #fff; max-width: 190mm; margin: 4mm auto; padding: 0 3mm; }
h1 { font-size: 15pt; margin: 0 0 1mm; }
h2 { font-size: 11pt; margin: 3mm 0 1mm; border-bottom: 1px solid #bbb; break-after: avoid; }
p { margin: 1mm 0; } img { width: 100%; } figure { margin: 1mm 0; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 0.5mm 2mm 0.5mm 0; }
th { font-weight: 600; white-space: nowrap; }
.sign { display: inline-block; width: 5mm; text-align: center; border-radius: 1mm; color: #fff;
  font-weight: bold; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.good { background: #2e8b3d; } .doubtful { background: #f2b632; color: #1c1c1c; }
.bad { background: #c8322b; } .quiet, figcaption { color: #555; font-size: 8pt; }
figure, tr { break-inside: avoid; } ul { margin: 1mm 0 1mm 5mm; padding: 0; }
"""


def trust_page(
    judgement: Judgement, where: str = "", pixel_size_um: dict[str, float] | None = None
) -> str:
    """The report as one HTML page without anything from elsewhere; made for A4."""
    title = f"How far the restoration of {judgement.name} can be trusted"
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="quiet">napari-hdn {_text(napari_hdn.__version__)}, {time.strftime("%Y-%m-%d")}</p>',
        _facts(judgement, where, pixel_size_um),
        "<h2>Verdicts</h2>",
        _checks(judgement.checks),
        *[f"<p><b>Warning:</b> {_text(w)}</p>" for w in judgement.warnings],
        *[f"<p><b>Stopped:</b> {_text(NOT_DONE[n])} was not done.</p>" for n in judgement.not_done],
        "<h2>Images</h2>",
        _images(judgement),
        "<h2>Residuals</h2>",
        _residuals(judgement),
        *_spread(judgement),
        *_prior(judgement),
        _plots(judgement),
        *_control(judgement),
        "<h2>What may be concluded, and what not</h2>",
        _list([*conclude(judgement), *CAVEATS]),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _text(words: object) -> str:
    return html.escape(str(words))


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(s)}</li>" for s in sentences) + "</ul>"


def _picture(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{_text(caption)}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _beside(parts: Sequence[tuple[str, int]]) -> str:
    """Parts of the page in one row, each with its width in percent."""
    cells = "".join(f'<td style="width: {width}%">{part}</td>' for part, width in parts)
    return f"<table><tr>{cells}</tr></table>"


def _facts(judgement: Judgement, where: str, pixel_size_um: dict[str, float] | None) -> str:
    model, chosen = judgement.model, judgement.settings
    height, width = judgement.mean.shape
    sizes = ", ".join(f"{a.lower()} {v:.4g} µm" for a, v in (pixel_size_um or {}).items())
    off = ", ".join(map(str, chosen.off))
    rows = {
        "Image": f"{where or judgement.name}; judged: {width} x {height} pixels (x, y)"
        + (f", pixel size {sizes}" if sizes else ""),
        "Model": f"{model.name}: {model.levels} levels, {model.parameters:,} parameters, {model.steps} "
        f"training steps, made {model.created} with napari-hdn {model.version}",
        "Trained on": "; ".join(model.data) or "not recorded",
        "Noise model": model.noise_model,
        "Restoration": f"mean of {chosen.samples} independent posterior samples, seed {chosen.seed}, "
        + (f"levels off: {off}" if off else "all levels on")
        + f"; computed on {chosen.device}",
    }
    cells = "".join(f"<tr><th>{k}</th><td>{_text(v)}</td></tr>" for k, v in rows.items())
    return f"<table>{cells}</table>"


def _checks(checks: Sequence[Check]) -> str:
    rows = []
    for check in checks:
        advice = (
            f"<br><i>{_text(check.advice)}</i>" if check.verdict != "good" and check.advice else ""
        )
        rows.append(
            f'<tr><td><span class="sign {check.verdict}">{_SIGNS[check.verdict]}</span></td>'
            f"<th>{_text(TITLES.get(check.name, check.name))}</th>"
            f"<td>{_text(check.text)}{advice}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _images(judgement: Judgement) -> str:
    limits = figures.image_limits(judgement.counts, judgement.mean)
    spread = (0.0, figures.image_limits(judgement.std)[1])
    png = figures.pictures(
        [
            ("raw", judgement.counts, "gray", limits, "counts"),
            ("restored (mean)", judgement.mean, "gray", limits, "counts"),
            ("standard deviation", judgement.std, "inferno", spread, "counts"),
            ("trust", judgement.trust.trust, "RdYlGn", (0.0, 1.0), "0 to 1"),
        ]
    )
    of = " and ".join(judgement.trust.parts)
    words = (
        f"Raw and restored in the same contrast. Trust is the lowest of its parts ({of}); 1: nothing "
        "speaks against the restoration here, 0: do not rely on it. Magenta: cut off by the camera."
    )
    return _picture(png, words)


def _residuals(judgement: Judgement) -> str:
    found = judgement.residuals
    lag = np.fmax(np.abs(found.lag_y), np.abs(found.lag_x))
    png = figures.pictures(
        [
            ("variance", found.variance, "coolwarm", (0.5, 1.5), "of the noise model's"),
            ("mean", found.mean, "coolwarm", (-0.5, 0.5), "of the noise's std"),
            ("correlation", lag, "magma", (0.0, 0.4), "of neighbours"),
            ("misfit", found.misfit, "magma", (0.0, 2.0), "1: more than doubtful"),
        ]
    )
    words = (
        "What restoring took away, in units of the noise model, in windows of about 800 pixels. Right: "
        "variance 1, mean 0, correlation 0. Standard errors: "
        f"{_middle(found.variance_error):.2f} of the variance, {_middle(found.error):.2f} of the "
        "others; "
        "misfit: how far the worst is off, by more than 3 of them. A trust of 0.5 is a misfit of 1."
    )
    return _picture(png, words)


def _middle(image: np.ndarray) -> float:
    return float(np.nanmedian(image))


def _spread(judgement: Judgement) -> list[str]:
    spread = judgement.spread
    if spread is None:
        sentences = [
            "Not measured: that takes repeats of a static scene, or a second frame of this one. Until "
            "then the standard deviation says how far samples of this network differ, and not how far "
            "they are wrong."
        ]
    else:
        source = "repeats of a static scene" if spread.source == "repeats" else "a second frame"
        told = f"From {source}; {spread.restored} of {spread.frames} frames restored."
        sentences = [f"{spread.in_words()} {told}", *spread.remarks]
    return [
        "<h2>Is the predicted standard deviation right?</h2>",
        *(f"<p>{_text(s)}</p>" for s in sentences),
    ]


def _prior(judgement: Judgement) -> list[str]:
    prior = judgement.prior
    if prior is None:
        return []
    shares = [(f"level {k}", prior.by_level[k - 1]) for k in reversed(prior.on)][-3:]
    png = figures.pictures(
        [
            ("all levels", prior.share, "viridis", (0.0, 1.0), "share"),
            *((name, share, "viridis", (0.0, 1.0), "share") for name, share in shares),
        ]
    )
    caption = "Where what is shown is one draw among many (1), or decided by the image (0)."
    return [
        "<h2>What the network expects, against what the image says</h2>",
        f"<p>{_text(prior.in_words())}</p>",
        _picture(png, caption),
    ]


def _plots(judgement: Judgement) -> str:
    """The curves that there are, beside each other."""
    check, made = judgement.residuals.check, []
    if check is not None and len(check.signal) > 1:
        plot = figures.residual_plot(check.signal, check.variance_at)
        made.append(_picture(plot, "Variance of the residuals by signal; grey: good."))
    if judgement.spread is not None:
        words = "Points: as many pixels each; bars: standard errors, of blocks of 16 x 16 pixels."
        made.append(_picture(figures.calibration_curve(judgement.spread), words))
    if judgement.prior is not None:
        made.append(_picture(figures.level_bars(judgement.prior), "Levels; 1 is the finest."))
    return _beside([(part, 33) for part in made])


def _control(judgement: Judgement) -> list[str]:
    control = judgement.control
    if control is None:
        return []
    names = ("signal", "noise", "invented", "bias", "predicted", "blob px", "reach px")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{f.signal:.4g}</td><td>{f.sigma:.3g}</td><td>{f.invented:.3f}</td>"
        f"<td>{f.bias:+.3f}</td><td>{f.predicted:.3f}</td><td>{f.largest_px}</td>"
        f"<td>{f.correlation_px:.1f}</td></tr>"
        for f in control.flats
    )
    caption = (
        "Top: noise of the noise model around flat signals (±3 standard deviations). Bottom: the "
        "restored mean (±0.75); all structure in it is invented."
    )
    note = (
        '<p class="quiet">Signal and noise in counts; invented, bias and predicted (RMS standard '
        "deviation of the samples) in units of the noise; blob: the largest area above half the "
        "noise; reach: where the correlation falls to 1/e.</p>"
    )
    table = f"<table><tr>{head}</tr>{rows}</table>{note}"
    picture = _picture(figures.control_pictures(control), caption)
    return ["<h2>Pure noise</h2>", _beside([(picture, 56), (table, 44)])]
