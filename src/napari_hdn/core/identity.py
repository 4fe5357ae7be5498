"""What tells models and wishes apart, whatever they are called: digests of their contents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from napari_hdn.core.noise.base import noise_model_to_json

if TYPE_CHECKING:
    from napari_hdn.core.config import RestorationConfig
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN

# how the work is cut up, and where it is done, does not change what is restored
_HOW = {"schema_version", "tile_px", "batch_size", "device", "deactivated_levels"}


def network_digest(network: torch.nn.Module) -> str:
    """SHA-256 of all weights with their names, hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def model_digest(model: HDN) -> str:
    """SHA-256 of all that a restoration takes from a model: weights, noise model, normalisation."""
    about = {
        "weights": network_digest(model.network),
        "network": model.config.network.model_dump(mode="json"),
        "noise_model": noise_model_to_json(model.noise_model),
        "normalisation": asdict(model.normalisation),
    }
    return _digest(about)


def asked_digest(
    model: HDN, config: RestorationConfig, student: Direct | None = None, **more: Any
) -> str:
    """A short digest of what decides a restoration's pixels; ``more`` is what else does.

    Device, tiles and batches of samples do not count: results are the same but for rounding.
    """
    about = {
        **config.model_dump(mode="json", exclude=_HOW),
        **more,
        "levels_off": model.levels_off(config),
        "model": model_digest(model),
        "direct": None if student is None else network_digest(student.network),
    }
    return f"r{_digest(about)[:16]}"  # no spreadsheet takes it for a number


def _digest(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
