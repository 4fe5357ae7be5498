"""What tells one model from all others, whatever its folder is called."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN


def fingerprint(model: HDN) -> str:
    """SHA-256 of a model's weights, network and normalisation, as hexadecimal digits."""
    found = hashlib.sha256()
    about = {**asdict(model.normalisation), **model.config.network.model_dump(mode="json")}
    found.update(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
