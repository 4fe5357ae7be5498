"""A tiny model folder that tests share, with all that one can hold."""

from pathlib import Path

import numpy as np
import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.direct import folder as direct
from napari_hdn.core.direct.config import DirectConfig, DirectNetworkConfig
from napari_hdn.core.direct.network import random_network
from napari_hdn.core.direct.student import Direct, DirectSummary
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.identity import fingerprint
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from simulated import TINY, network

CONFIG = TrainingConfig(
    network=TINY, minutes=None, steps=6, patch_px=16, batch_size=2, device="cpu",
    precision="float32",
)  # fmt: skip


def tiny_model() -> HDN:
    """Untrained; works in units of the noise."""
    summary = TrainingSummary(
        version="0", created="2026-01-02T03:04:05+00:00", steps=6, seconds=1, stopped=False,
        device="cpu", data=("cells TYX 4 x 64 x 64",), data_low=100, data_high=350,
    )  # fmt: skip
    return HDN(
        CONFIG, network(), PoissonGaussian([2.0], [-190.0], [5.0]),
        Normalisation(20.0, 4.0, True), summary,
    )  # fmt: skip


def save_tiny(folder: Path) -> Path:
    """Write a model folder with all that one can hold."""
    model = tiny_model()
    model.save(folder)
    checkpoint.save_resume(folder, {"step": 6, "averages": torch.arange(100.0)})
    (folder / "notes.txt").write_text("Für Ada: 20 °C\n", encoding="utf-8")
    config = DirectConfig(network=DirectNetworkConfig(widths=(4, 4)), patch_px=8)
    summary = DirectSummary(
        version="0", created="2026-01-02T03:04:05+00:00", teacher="my cells",
        teacher_created=model.summary.created, teacher_weights=fingerprint(model), levels=2,
        levels_off=(), steps=1, seconds=1, stopped=False, device="cpu", data=(), megapixels=1,
    )  # fmt: skip
    student = Direct(config, random_network(config.network, 0).eval(), summary)
    direct.save(student, folder / "direct" / "mean")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def restored(folder: Path) -> np.ndarray:
    """What a model makes of an image."""
    image = np.random.default_rng(1).poisson(120, (48, 40)).astype(np.float32) * 2
    return checkpoint.load(folder).restore(image, "YX", precision="float32").mean
