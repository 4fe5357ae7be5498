"""Training, and the noise models it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.api.noted import noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import CalibrationConfig, NoiseConfig, TrainingConfig
from napari_hdn.core.events import CalibrationEvent, PreviewRequest, Stop, TrainingEvent
from napari_hdn.core.ranks import ALONE, Rank

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration
    from napari_hdn.core.devices import Device
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.noise.base import NoiseModel


@noted
def train(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    *,
    folder: Path | str | None = None,
    resume: bool = False,
    start: HDN | None = None,
    scratch: bool = False,
    stop: Stop | None = None,
    preview: Callable[[], PreviewRequest | None] | None = None,
    rank: Rank = ALONE,
) -> Iterator[TrainingEvent]:
    """Train an HDN on noisy images alone; see `napari_hdn.core.training.start.train`."""
    from napari_hdn.core.training.start import train as _train

    return _train(
        images,
        config,
        folder=None if folder is None else Path(folder),
        resume=resume,
        start=start,
        scratch=scratch,
        stop=stop,
        preview=preview,
        rank=rank,
    )


@noted
def calibrate(
    images: Sequence[ImageStack],
    config: CalibrationConfig,
    *,
    dark: ImageStack | None = None,
    clean: ImageStack | None = None,
    meant_for: Sequence[ImageStack] | None = None,
    stop: Stop | None = None,
) -> Iterator[CalibrationEvent]:
    """Make a noise model and judge it; see `napari_hdn.core.calibration.calibrate.calibrate`."""
    from napari_hdn.core.calibration.calibrate import calibrate as _calibrate

    return _calibrate(images, config, dark=dark, clean=clean, meant_for=meant_for, stop=stop)


def save_calibration(calibration: Calibration, path: Path | str) -> Path:
    """Write a noise model with its calibration; see `napari_hdn.io.noise_models`."""
    from napari_hdn.io.noise_models import save_calibration as _save

    return _save(calibration, Path(path))


def load_calibration(path: Path | str) -> Calibration | NoiseModel:
    """Read a noise model with its calibration, where it has one; see `napari_hdn.io.noise_models`."""
    from napari_hdn.io.noise_models import load_calibration as _load

    return _load(Path(path))


def covered_signal(calibration: Calibration) -> tuple[float, float] | None:
    """Signals (counts) between which the noise was measured; None where a file does not tell."""
    from napari_hdn.core.calibration.judging import covered

    if calibration.source == "file":
        return calibration.noise_model.signal_range
    return covered(calibration.measured)


def estimate_noise_model(images: Sequence[ImageStack], config: NoiseConfig) -> NoiseModel:
    """Make the noise model that a config asks for; see `napari_hdn.core.calibration.choose`."""
    from napari_hdn.core.calibration.choose import make_noise_model

    return make_noise_model(images, config)[0]


def load_model(folder: Path | str) -> HDN:
    """Load a model folder; see `napari_hdn.core.checkpoint.load`."""
    from napari_hdn.core.checkpoint import load

    return load(Path(folder))


def available_devices() -> list[Device]:
    """What this machine can compute on, the one that ``auto`` takes first. Loads torch."""
    from napari_hdn.core.devices import available

    return available()
