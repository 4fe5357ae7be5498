"""Hierarchical DivNoising for microscopists: train on noisy images alone, restore, inspect.

Everything a script needs is here, imported when first used::

    import napari_hdn as hdn

    stacks = hdn.open_images(["noisy.tif"])
    for event in hdn.train(stacks, hdn.preset("fast", minutes=5), folder="my-model"):
        print(event)
    model = hdn.load_model("my-model")
    restored = model.restore(stacks[0].array, axes=stacks[0].axes)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

try:
    from napari_hdn._version import __version__
except ImportError:  # a source tree that was never built
    __version__ = "0.0.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent but for who asks

if TYPE_CHECKING:
    from napari_hdn.api import (
        HDN,
        HDNError,
        ImageMetadata,
        ImageStack,
        NetworkConfig,
        NoiseConfig,
        RestorationConfig,
        Stop,
        TrainingConfig,
        TrainingFinished,
        TrainingStep,
        load_model,
        open_images,
        preset,
        restore,
        train,
        variant_config,
        variants_of,
        write_ome_tiff,
        write_ome_zarr,
    )

__all__ = [
    "HDN",
    "HDNError",
    "ImageMetadata",
    "ImageStack",
    "NetworkConfig",
    "NoiseConfig",
    "RestorationConfig",
    "Stop",
    "TrainingConfig",
    "TrainingFinished",
    "TrainingStep",
    "__version__",
    "load_model",
    "open_images",
    "preset",
    "restore",
    "train",
    "variant_config",
    "variants_of",
    "write_ome_tiff",
    "write_ome_zarr",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from napari_hdn import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
