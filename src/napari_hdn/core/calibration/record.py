"""A noise model with all that shows whether it is right; kept in the noise model's own file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from napari_hdn.core.artefacts.structure import Structure
from napari_hdn.core.config import CalibrationConfig
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.curves import MeasuredCurve
from napari_hdn.core.recipes.images import ImageRecord

Verdict = Literal["good", "doubtful", "bad"]


@dataclass(frozen=True)
class Check:
    """One question to a calibration, answered with a number.

    Attributes
    ----------
    name : str
        ``coverage``, ``fit``, ``saturation``, ``quantisation``, ``processing``, ``slope``,
        ``drift``, ``structure``.
    verdict : str
        ``good``, ``doubtful`` or ``bad``.
    value : float
        The number that decided, in the unit that ``text`` states.
    text : str
        What was found, with the number, in plain words.
    advice : str
        What to do; empty where all is well.
    """

    name: str
    verdict: Verdict
    value: float
    text: str
    advice: str = ""


@dataclass(frozen=True)
class SignalHistogram:
    """How often each signal occurs in the images that the noise model is for."""

    edges: np.ndarray  # (n + 1,) counts
    pixels: np.ndarray  # (n,) share of all pixels, sums to 1


@dataclass(frozen=True)
class Calibration:
    """A noise model, what was measured, and how well they agree.

    Attributes
    ----------
    noise_model : NoiseModel
    config : CalibrationConfig
        As asked for.
    source : str
        The source taken, never ``auto``.
    reason : str
        Why that source, in words.
    measured : tuple of MeasuredCurve
        Variance against signal as measured: one curve, or one for each of the first images where
        the model has a curve per image; ``measured[k]`` belongs to the model's curve k.
    histogram : SignalHistogram
    checks : tuple of Check
    structure : Structure or None
        None where no flat background and no repeats were there to judge by.
    remarks : tuple of str
        What else the user should know.
    data : tuple of str
        Names, axes and shapes of the images that were used.
    images : tuple of ImageRecord
        Which images these were, by checksums of their pixels; empty in files of earlier versions.
    dark, clean : ImageRecord or None
        Which dark frames, and which clean image, were given beside them.
    """

    noise_model: NoiseModel
    config: CalibrationConfig
    source: str
    reason: str
    measured: tuple[MeasuredCurve, ...]
    histogram: SignalHistogram
    checks: tuple[Check, ...]
    structure: Structure | None = None
    remarks: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    images: tuple[ImageRecord, ...] = ()
    dark: ImageRecord | None = None
    clean: ImageRecord | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks."""
        verdicts = {check.verdict for check in self.checks}
        return next((v for v in ("bad", "doubtful") if v in verdicts), "good")

    @property
    def bad(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.verdict == "bad")

    def record(self) -> dict[str, Any]:
        """Everything but the noise model, as JSON for its file."""
        return {
            "config": self.config.model_dump(mode="json"),
            "source": self.source,
            "reason": self.reason,
            "measured": [
                {name: np.asarray(v).tolist() for name, v in asdict(curve).items()}
                for curve in self.measured
            ],
            "histogram": {
                "edges": self.histogram.edges.tolist(),
                "pixels": self.histogram.pixels.tolist(),
            },
            "checks": [asdict(check) for check in self.checks],
            "structure": None if self.structure is None else self.structure.to_json(),
            "remarks": list(self.remarks),
            "data": list(self.data),
            "images": [image.model_dump(mode="json") for image in self.images],
            "dark": None if self.dark is None else self.dark.model_dump(mode="json"),
            "clean": None if self.clean is None else self.clean.model_dump(mode="json"),
        }

    @classmethod
    def of(cls, noise_model: NoiseModel) -> Self | None:
        """The calibration that a noise model was made by, if its file tells.

        Raises
        ------
        NoiseModelError
            If the record is damaged.
        """
        record = noise_model.calibration
        if record is None:
            return None
        try:
            return cls(
                noise_model=noise_model,
                config=CalibrationConfig.model_validate(record["config"]),
                source=str(record["source"]),
                reason=str(record["reason"]),
                measured=tuple(
                    MeasuredCurve(**{k: np.asarray(v, dtype=np.float64) for k, v in curve.items()})
                    for curve in record["measured"]
                ),
                histogram=SignalHistogram(
                    *(np.asarray(record["histogram"][k], np.float64) for k in ("edges", "pixels"))
                ),
                checks=tuple(Check(**check) for check in record["checks"]),
                structure=None
                if record["structure"] is None
                else Structure.from_json(record["structure"]),
                remarks=tuple(record["remarks"]),
                data=tuple(record["data"]),
                images=tuple(ImageRecord.model_validate(i) for i in record.get("images", ())),
                dark=_image(record.get("dark")),
                clean=_image(record.get("clean")),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NoiseModelError(
                f"The record of the noise model's calibration is damaged: {error!r:.160}."
            ) from error


def _image(record: Any) -> ImageRecord | None:
    return None if record is None else ImageRecord.model_validate(record)
