"""What was found about a restoration, in numbers and in words; what may not be concluded from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_hdn.core.calibration.record import Check, Verdict
from napari_hdn.core.trust.control import Control
from napari_hdn.core.trust.prior_share import PriorShare
from napari_hdn.core.trust.residual_maps import ResidualMaps
from napari_hdn.core.trust.spread import SpreadCalibration
from napari_hdn.core.trust.trust_map import LOW, TrustMap

_AREA = (0.02, 0.1)  # shares of an image that are still good, and doubtful
_SPREAD = (0.5, 0.8)  # of the noise
_CUT_OFF = (1e-3, 1e-2)


@dataclass(frozen=True)
class Settings:
    """With what a restoration was judged."""

    samples: int
    seed: int
    off: tuple[int, ...]
    device: str


@dataclass(frozen=True)
class ModelFacts:
    """What a report says of the model."""

    name: str
    created: str
    version: str
    steps: int
    data: tuple[str, ...]
    levels: int
    parameters: int
    noise_model: str

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self.__dict__.items()}


@dataclass(frozen=True)
class Judgement:
    """A restoration and what speaks for and against it; images (Y, X) float32 counts.

    Attributes
    ----------
    model : ModelFacts
    settings : Settings
    name : str
        Of the image.
    counts, mean, std, noise : ndarray
        The raw piece, mean and standard deviation of its samples, the noise model's at the mean.
    residuals : ResidualMaps
    trust : TrustMap
    prior : PriorShare or None
        None where stopped before, or the model has a single level.
    control : Control or None
    spread : SpreadCalibration or None
        None where no more frames were given, too.
    structured : bool
        Whether noise with a structure was to be taken away: levels are off, or the noise model says so.
    not_done : tuple of str
        Parts that were asked for and stopped.
    warnings : tuple of str
    """

    model: ModelFacts
    settings: Settings
    name: str
    counts: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    noise: np.ndarray
    residuals: ResidualMaps
    trust: TrustMap
    prior: PriorShare | None = None
    control: Control | None = None
    spread: SpreadCalibration | None = None
    structured: bool = False
    not_done: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def factor(self) -> float:
        """By what the spread has to be multiplied; 1 where that was not, or could not be, measured."""
        return 1.0 if self.spread is None else self.spread.applied

    @property
    def checks(self) -> tuple[Check, ...]:
        """Questions, each with its answer."""
        found = [
            *([_structured_check(self)] if self.structured else _residual_checks(self)),
            _spread_check(self),
            *([_calibration_check(self.spread)] if self.spread is not None else []),
            *([_control_check(self.control)] if self.control is not None else []),
            _trust_check(self.trust),
        ]
        if self.residuals.cut_off > _CUT_OFF[0]:
            found.append(_cut_off_check(self.residuals.cut_off))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All numbers, no images."""
        check = self.residuals.check
        return {
            "image": self.name,
            "shape": list(self.counts.shape),
            "model": self.model.to_json(),
            "samples": self.settings.samples,
            "seed": self.settings.seed,
            "levels_off": list(self.settings.off),
            "device": self.settings.device,
            "checks": [c.__dict__ for c in self.checks],
            "structured_noise": self.structured,
            "residuals": None if check is None else check.model_dump(),
            "residual_share_off": _share_off(self.residuals),
            "cut_off_share": self.residuals.cut_off,
            "spread": {
                "rms": _rms(self.std),
                "median_of_noise": float(np.median(self.std / self.noise)),
                "factor_used": self.factor,
            },
            "prior": None if self.prior is None else _prior_json(self.prior),
            "calibration": None if self.spread is None else self.spread.to_json(),
            "pure_noise": None
            if self.control is None
            else [f.to_json() for f in self.control.flats],
            "trust": {
                "median": float(np.nanmedian(self.trust.trust)),
                "below": LOW,
                "share_below": self.trust.low_share,
                "lowest_part": self.trust.blame,
            },
            "not_done": list(self.not_done),
            "warnings": list(self.warnings),
        }


def _graded(value: float, good: float, doubtful: float) -> Verdict:
    return "good" if value <= good else "doubtful" if value <= doubtful else "bad"


def _residual_checks(judged: Judgement) -> list[Check]:
    return [_noise_check(judged), _local_check(judged.residuals)]


def _structured_check(judged: Judgement) -> Check:
    check = judged.residuals.check
    numbers = ""
    if check is not None:
        numbers = (
            f" They have {check.variance:.2f} times the variance of the noise model; neighbours "
            "correlate "
            f"with {check.lag_y:+.2f} along y and {check.lag_x:+.2f} along x."
        )
    return Check(
        "residuals",
        "doubtful",
        float("nan") if check is None else check.variance,
        "Noise with a structure was to be taken away (levels are off, or the noise model says so): "
        "residuals "
        f"hold it by right, and tell nothing here. The trust map is of the spread alone.{numbers}",
        "Look at what was removed, in Inspect latent levels: there should be the artefact, and no "
        "structure "
        "of the image.",
    )


def _noise_check(judged: Judgement) -> Check:
    check = judged.residuals.check
    if check is None:
        return Check(
            "residuals",
            "doubtful",
            float("nan"),
            "Too few pixels are usable to judge the residuals.",
        )
    advice = "" if check.verdict == "good" else "Calibrate the noise model again, or train longer."
    return Check("residuals", check.verdict, check.variance, check.in_words(), advice)


def _share_off(residuals: ResidualMaps) -> float:
    return float(np.mean(np.nan_to_num(residuals.misfit) > 1))


def _local_check(residuals: ResidualMaps) -> Check:
    share = _share_off(residuals)
    return Check(
        "residuals in places",
        _graded(share, *_AREA),
        share,
        f"In {share:.1%} of the area what was taken away is not the noise that the noise model expects "
        "(variance, mean or correlation off by more than is doubtful).",
        "Look at the map of residuals: what stands out there was not restored, or is not like the "
        "training "
        "images.",
    )


def _spread_check(judged: Judgement) -> Check:
    ratio = judged.factor * float(np.median(judged.std / judged.noise))
    known = judged.spread is not None and judged.spread.measured
    measured = f", times the measured {judged.factor:.2f}" if known else ""
    return Check(
        "spread",
        _graded(ratio, *_SPREAD),
        ratio,
        f"Samples differ by {ratio:.2f} of the raw noise (median{measured}): as certain as a mean of "
        f"{1 / max(ratio, 1e-3) ** 2:.0f} raw frames"
        + ("." if known else ", if the spread is right, which was not measured."),
        "Train longer, or take images with less noise: the samples hardly agree.",
    )


def _calibration_check(spread: SpreadCalibration) -> Check:
    return Check(
        "calibration",
        spread.verdict,
        spread.factor,
        spread.in_words(),
        f"Multiply standard deviations by {spread.factor:.2f} before they become error bars."
        if spread.measured
        else "Give a second frame taken just as the image was (same exposure, no averaging, no "
        "processing), or better, repeats of a static scene: 10 frames or more.",
    )


def _control_check(control: Control) -> Check:
    return Check(
        "pure noise",
        control.verdict,
        control.worst.invented,
        control.in_words(),
        "Do not interpret structures of that size and contrast.",
    )


def _trust_check(trust: TrustMap) -> Check:
    share, blame = trust.low_share, trust.blame
    worst = max(blame, key=lambda p: blame[p])
    why = f" Lowest there: {worst} ({blame[worst]:.0%} of it)." if any(blame.values()) else ""
    return Check(
        "trust map",
        _graded(share, *_AREA),
        share,
        f"Trust is below {LOW:g} in {share:.1%} of the area.{why}",
        "Look at these places in the raw image before you conclude anything from them.",
    )


def _cut_off_check(share: float) -> Check:
    return Check(
        "cut off",
        _graded(share, *_CUT_OFF),
        share,
        f"{share:.2%} of the pixels are saturated or black-clipped; their counts are lost and they are "
        "in none of the numbers.",
        "Expose shorter, or raise the offset.",
    )


def _prior_json(prior: PriorShare) -> dict[str, Any]:
    return {
        "share_median": float(np.median(prior.share)),
        "share_by_level": list(prior.of_levels),
        "std_ratio_by_level": list(prior.ratio),
        "spread_rms_by_level": [_rms(a) for a in prior.spread],
        "decided_rms_by_level": [_rms(a) for a in prior.decided],
        "levels_off": list(prior.off),
    }


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(a.astype(np.float64) ** 2)))
