"""One deterministic pass of a trained model, counts in and counts out, as other programs can run it.

It decodes the means of all levels, as a restoration with ``samples=1`` does. That is an approximation of
the mean of posterior samples, and gives no uncertainty: what another program can hold of an HDN.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_hdn.core.hdn import HDN
from napari_hdn.core.noise.typical import typical_curve
from napari_hdn.core.restoring.restorer import check_levels
from napari_hdn.core.restoring.tiling import halo_px


class OnePass(nn.Module):
    """(B, 1, Y, X) float32 counts to restored ones.

    Parameters
    ----------
    model : HDN
    off : sequence of int
        Levels that are off besides those that it was trained without, 1 = finest; they are at the mean
        of what the levels above expect.

    Attributes
    ----------
    multiple : int
        Both sides must be multiples of this, in pixels.
    halo : int
        Pixels at each border that lack context; of tiles they are cut off.
    """

    def __init__(self, model: HDN, off: Sequence[int] = ()) -> None:
        super().__init__()
        self.network = model.network.eval()
        self.choices = self.network.choices("mean", check_levels(model.config.network, off))
        self.normalisation = model.normalisation
        self.multiple = model.config.network.multiple
        self.halo = halo_px(model.config.network)
        self.curve = typical_curve(model.noise_model) if model.normalisation.stabilised else None

    def forward(self, counts: Tensor) -> Tensor:
        """Restore."""
        image = self.normalisation.apply(counts, self.curve)
        features = self.network.encode(image)
        decoded = self.network.decode(features, self.choices, _no_noise)
        restored: Tensor = self.normalisation.invert(decoded.signal, self.curve)
        return restored


def _no_noise(level: int, shape: torch.Size) -> Tensor:
    raise AssertionError("means need no noise")


def save_torchscript(model: OnePass, path: Path) -> None:
    """Write a pass as TorchScript, which runs in programs that know neither napari nor HDN.

    It takes images of any size whose sides are multiples of ``model.multiple``.
    """
    side = 2 * model.multiple
    with warnings.catch_warnings(), torch.no_grad():
        # deprecated, but what the programs of the BioImage Model Zoo run; and sizes of tensors are
        # compared while it is traced, the same for every size that is allowed
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            model, torch.full((1, 1, side, 2 * side), 100.0), check_trace=False
        )
        traced.save(str(path))
