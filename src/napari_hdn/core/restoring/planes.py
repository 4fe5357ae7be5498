"""A network on a device, and planes as it sees them: padded, in its units, in tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.devices import Device, moved
from napari_hdn.core.model.fused import for_prediction
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.normalisation import NoiseCurve, Normalisation
from napari_hdn.core.restoring.padding import reflect_pad
from napari_hdn.core.restoring.tiling import Tile, halo_px, padded_size, plan_tiles, tile_side


@dataclass(frozen=True)
class Plane:
    """One plane as the network sees it.

    Attributes
    ----------
    image : Tensor
        (Y, X) normalised, padded to a multiple of what the network needs.
    size : (height, width)
        Without the padding.
    curve : NoiseCurve or None
        Between counts and units of the noise, where the model works in these.
    tiles : list of Tile
        One where the plane fits in memory.
    """

    image: Tensor
    size: tuple[int, int]
    curve: NoiseCurve | None
    tiles: list[Tile]

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) with the padding."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    @property
    def home(self) -> torch.device:
        """Where whole planes are kept: one that has to be tiled, in the computer's memory."""
        return self.image.device


class Prepared:
    """A copy of a network on a device, ready for prediction.

    Parameters
    ----------
    network : Ladder
    normalisation : Normalisation
    noise_model : NoiseModel
    device : Device
    precision : str
        ``auto``, ``float32`` or ``bfloat16``.
    """

    def __init__(
        self,
        network: Ladder,
        normalisation: Normalisation,
        noise_model: NoiseModel,
        device: Device,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
    ) -> None:
        self.network = for_prediction(network, device.torch, device.dtype(precision))
        self.normalisation = normalisation
        self.noise_model = noise_model
        self.device = device
        self._dtype = device.dtype(precision)

    def plane(self, counts: np.ndarray, tile_px: int | None, batch: int) -> Plane:
        """Make (Y, X) counts ready, and plan tiles for so many samples at a time."""
        net = self.network.config
        shape = padded_size(counts.shape, net.multiple)
        if tile_px is None:
            tile_px = tile_side(shape, net, batch, self.device.free_bytes())
        tiles = plan_tiles(shape, tile_px, halo_px(net), net.multiple)
        return self.piece(counts, self.curve(counts), tiles)

    def piece(self, counts: np.ndarray, curve: NoiseCurve | None, tiles: list[Tile]) -> Plane:
        """Make (Y, X) counts of a plane, or of some of its rows, ready; see `curve`."""
        home = self.device.torch if len(tiles) == 1 else torch.device("cpu")
        if curve is not None:
            curve = NoiseCurve(curve.gain.to(home), curve.offset.to(home), curve.floor.to(home))
        padded = reflect_pad(moved(torch.from_numpy(counts), home), self.network.config.multiple)
        size = (int(counts.shape[0]), int(counts.shape[1]))
        return Plane(self.normalisation.apply(padded, curve), size, curve, tiles)

    def encode(self, image: Tensor, tile: Tile) -> tuple[Tensor, ...]:
        """Features of a tile of a (Y, X) normalised image, level 1 first."""
        return self.encode_image(image[tile.y, tile.x].to(self.device.torch))

    def encode_image(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features of a (Y, X) normalised image on the device, level 1 first."""
        with torch.inference_mode(), self.autocast():
            return self.network.encode(image[None, None])

    def to_counts(self, signal: Tensor, plane: Plane) -> Tensor:
        """What the network gives as counts, at the plane's home."""
        return self.normalisation.invert(signal.to(plane.home), plane.curve)

    def noise(self, signal: Tensor, plane: Plane) -> Tensor:
        """Standard deviation of the noise at a (Y, X) signal, counts."""
        return torch.sqrt(noise_variance(self.noise_model, signal, plane.curve))

    def autocast(self) -> torch.autocast:
        """Computing as precisely as was chosen."""
        lower = self._dtype is not torch.float32
        return torch.autocast(self.device.name, self._dtype, enabled=lower)

    def curve(self, counts: np.ndarray) -> NoiseCurve | None:
        """Between counts and units of the noise, for a plane of which these (Y, X) counts are a part."""
        if not self.normalisation.stabilised:
            return None
        return curve_of_plane(self.noise_model, counts)


def noise_variance(model: NoiseModel, signal: Tensor, curve: NoiseCurve | None) -> Tensor:
    """Variance of the noise of a plane, counts squared.

    Parameters
    ----------
    model : NoiseModel
    signal : Tensor
        (Y, X) counts.
    curve : NoiseCurve, optional
        Of the plane, which counts where the model has one for each image.
    """
    if curve is not None and model.curves > 1:
        variance = curve.variance(signal)
        return variance * float(model.scale.median()) if isinstance(model, Refined) else variance
    # the noise model stays in the computer's memory
    variance = model.variance(signal[None, None].float().cpu())
    return variance.expand(1, 1, *signal.shape)[0, 0].detach()
