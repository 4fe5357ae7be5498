"""A network so tiny that a training takes a second, and a Ctrl-C, for tests of the command."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    NetworkConfig,
    TrainingConfig,
)

TINY = TrainingConfig(
    network=NetworkConfig(levels=3, channels=8, latent_channels=4),
    minutes=None,
    steps=4,
    patch_px=16,
    batch_size=4,
    precision="float32",
    device="cpu",
)


def weights(folder: Path) -> dict[str, np.ndarray]:
    state = api.load_model(folder).network.state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


def interrupted_after(events: Iterator, kind: type, count: int) -> Iterator:
    """Press Ctrl-C when ``count`` events of a kind have come."""
    for event in events:
        yield event
        count -= isinstance(event, kind)
        if isinstance(event, kind) and count == 0:
            signal.raise_signal(signal.SIGINT)


def iter_raising(error: Exception) -> Iterator:
    raise error
    yield


def images_in(folder: Path) -> list[str]:
    """Names of what was written, without the recipes and the table beside the images."""
    return sorted(p.name for p in folder.iterdir() if p.suffix not in (".json", ".csv"))
