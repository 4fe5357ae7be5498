"""What tells models and wishes apart, whatever they are called: digests of their contents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from napari_hdn.core.config import RestorationConfig
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN

# how the work is cut up, and where it is done, does not change what is restored
_HOW = {"schema_version", "tile_px", "batch_size", "device", "deactivated_levels"}


def network_digest(network: nn.Module, about: str = "") -> str:
    """SHA-256 of ``about`` and all weights with their names, hexadecimal."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fingerprint(model: HDN) -> str:
    """SHA-256 of a model's weights, network and normalisation, as hexadecimal digits."""
    about = {**asdict(model.normalisation), **model.config.network.model_dump(mode="json")}
    return network_digest(model.network, json.dumps(about, sort_keys=True))


def asked_digest(
    model: HDN, config: RestorationConfig, student: Direct | None = None, **more: Any
) -> str:
    """A short digest of what decides a restoration's pixels; ``more`` is what else does.

    Device, tiles and batches of samples do not count: results are the same but for rounding.
    """
    from napari_hdn.core.noise.base import noise_model_to_json

    about = {
        **config.model_dump(mode="json", exclude=_HOW),
        **more,
        "levels_off": model.levels_off(config),
        "model": fingerprint(model),
        "noise_model": noise_model_to_json(model.noise_model),
        "direct": None if student is None else network_digest(student.network),
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
    return f"r{digest[:16]}"  # no spreadsheet takes it for a number
