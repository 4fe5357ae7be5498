"""One noise curve of a model, where an image has none of its own."""

from __future__ import annotations

import torch

from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.normalisation import NoiseCurve


def units_of(model: NoiseModel) -> NoiseModel:
    """The model in whose units the network sees images: that which was refined, if one was."""
    while isinstance(model, Refined):
        model = model.units or model.inner
    return model


def typical_curve(model: NoiseModel) -> NoiseCurve | None:
    """The noise curve of a model; where it has one for each image, that of the median gain."""
    model = units_of(model)
    if not isinstance(model, PoissonGaussian) or model.curves == 1:
        return model.curve()
    middle = torch.argsort(model.gain)[model.curves // 2]
    return NoiseCurve(model.gain[middle], model.offset[middle], model.floor[middle])
