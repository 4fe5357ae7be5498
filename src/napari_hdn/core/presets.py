"""The presets that a user chooses between, as training configs."""

from __future__ import annotations

from typing import Any

from napari_hdn.core.config import NetworkConfig, TrainingConfig
from napari_hdn.core.errors import ConfigurationError

# The trunk runs at half size, where a step and a restoration cost half as much at the same quality.
# Without dropout: noisy patches do not repeat, so that there is nothing to memorise in minutes
# (300 steps on fmd_bpae: 39.1 dB with 0.2, 39.5 dB without). Small batches, and so more steps, were
# better at equal time (210 s: batch 16 40.9 dB, batch 8 41.1 dB).
_FAST = TrainingConfig(
    preset="fast",
    network=NetworkConfig(
        levels=4, blocks=1, channels=64, latent_channels=32, dropout=0.0, trunk="half"
    ),
    minutes=10.0,
    patch_px=64,
    batch_size=8,
    learning_rate=4e-3,
)

_BALANCED = TrainingConfig(
    preset="balanced",
    network=NetworkConfig(
        levels=5, blocks=2, channels=64, latent_channels=32, dropout=0.0, trunk="half"
    ),
    minutes=30.0,
    patch_px=128,
    batch_size=4,
)

# Prakash et al. 2022, A.2 and the published configuration for 64 x 64 patches.
_PAPER = TrainingConfig(
    preset="paper",
    network=NetworkConfig(levels=6, blocks=5, channels=64, latent_channels=32, activation="elu"),
    minutes=None,
    steps=200_000,
    batch_size=64,
    optimizer="adamax",
    learning_rate=3e-4,
    stabilise=False,
)

PRESETS: dict[str, TrainingConfig] = {"fast": _FAST, "balanced": _BALANCED, "paper": _PAPER}


def preset(name: str, **changes: Any) -> TrainingConfig:
    """A preset by name, with changes, checked again.

    Parameters
    ----------
    name : str
        ``fast``, ``balanced`` or ``paper``.
    **changes
        Fields of `TrainingConfig` to replace; ``minutes`` unsets ``steps`` and the reverse.

    Raises
    ------
    ConfigurationError
        If there is no such preset.
    """
    try:
        base = PRESETS[name.lower()]
    except KeyError:
        raise ConfigurationError(
            f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}."
        ) from None
    if changes.get("minutes") is not None:
        changes.setdefault("steps", None)
    if changes.get("steps") is not None:
        changes.setdefault("minutes", None)
    return TrainingConfig.model_validate({**base.model_dump(), **changes})
