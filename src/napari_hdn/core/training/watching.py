"""What training does about its noise model at every look: refine it, refit its shape, or stop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from napari_hdn.core.artefacts import structure_of_background
from napari_hdn.core.calibration.estimation import quantisation_step
from napari_hdn.core.calibration.frames import central
from napari_hdn.core.devices import Device
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.gaussian import LearnedGaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.training.refinement import rescaled, reshaped, watched_level
from napari_hdn.core.training.run import ELSEWHERE, Run

BOOTSTRAP_AT = 0.5  # of the budget
BOOTSTRAP_BATCHES = 16
FEW_REGIONS = 8


def look(run: Run, device: Device, seed: int, stop: Stop) -> Iterator[Notice]:
    """Look at the KL of the lowest level that is on, and do what can be done if it rises."""
    off, level = run.config.network.deactivated_levels, watched_level(run.config.network)
    config, watch = run.config.noise, run.watch
    is_half_way = run.budget.spent(run.step) >= BOOTSTRAP_AT
    if config.bootstrap and is_half_way and watch.bootstrapped_at is None:
        watch.bootstrapped_at = run.step
        yield Notice(f"Step {run.step}: {_bootstrap(run, device)}.")
    if isinstance(run.noise_model, LearnedGaussian):
        return
    rng = torch.Generator(device=device.torch).manual_seed(seed)
    with torch.no_grad(), run.autocast(device):
        losses = run.averaged_objective(*run.watched, rng, dropout=False)
    watch.add(run.step, float(losses.kl[level - 1]))
    if watch.at_its_least:
        run.remember_least()
    rise = watch.rise()
    if rise is None or watch.told_at is not None:
        return
    which = f"level {level}, the lowest that is on," if off else "the bottom level"
    began = (
        f"Step {run.step}: the KL of {which} rose from {rise.least:.3f} to {rise.now:.3f} nats per "
        "pixel: the network begins to copy noise"
    )
    if is_structured(run.noise_model) or _looks_structured(run):
        watch.told_at = run.step
        yield Notice(f"{began}, which has a structure here. {_about_structure(off, level)}")
        return
    text = "the noise model was left as it is, as the settings say"
    if config.refine and watch.rescaled_at is None:
        watch.rescaled_at = run.step
        regions = run.split.training + run.split.validation
        refined, text = rescaled(run.noise_model, regions, run.planes, stop=stop)
        if refined is not None:
            run.change_noise_model(refined)
            yield Notice(f"{began}, as the noise model does not fit: {text}.", "warning")
            return
    watch.told_at = run.step
    watch.copies_noise = config.refine and run.at_least_kl is not None
    yield Notice(f"{began}; {text}.", "warning")


def _about_structure(off: tuple[int, ...], level: int) -> str:
    if not off:
        return (
            "That is as it should be: switch the lowest levels off when restoring, and the structure "
            "goes with them."
        )
    names = f"level{'s' if len(off) > 1 else ''} {', '.join(map(str, off))}"
    return (
        f"With {names} off it moves up: look at level {level} again, and if it holds the artefact, "
        "switch it off too."
    )


def back_to_the_least(run: Run) -> Notice:
    """Take the averaged weights from before the network began to copy noise."""
    assert run.at_least_kl is not None
    step, weights = run.at_least_kl
    run.averaged.network.load_state_dict(weights)
    run.fall_back()
    return Notice(
        f"Training ended at step {run.step} by itself, since going on would make the result worse; "
        f"the model is that of step {step}, before the rise. With a better noise model it could train "
        "longer: calibrate from repeats or a flat field.",
        "warning",
    )


def is_structured(model: NoiseModel) -> bool:
    """Whether the noise is known to be correlated, so that the bottom level has something to learn."""
    inner = model.inner if isinstance(model, Refined) else model
    if isinstance(inner, PoissonGaussian) and inner.differences != "diagonal":
        return True
    return model.structured


def _looks_structured(run: Run) -> bool:
    """Whether the images' background shows correlated noise, which a given model cannot tell."""
    regions = run.split.training
    chosen = np.linspace(0, len(regions) - 1, min(len(regions), FEW_REGIONS)).astype(int)
    planes = []
    for k in chosen:
        ys, xs = central(regions[k].height, regions[k].width)
        size = ys.stop - ys.start, xs.stop - xs.start
        planes.append(regions[k].read(ys.start, xs.start, *size))
    structure = structure_of_background(planes)
    return structure is not None and structure.verdict == "structured"


def _bootstrap(run: Run, device: Device) -> str:
    """Refit the shape of the noise model, and say what came of it."""
    model = run.noise_model
    if not isinstance(model, PoissonGaussian) or model.curves > 1:
        return (
            "the noise model's shape is refitted only where one Poisson-Gaussian curve serves all"
        )
    batches = [run.patches.batch(ELSEWHERE - 100 - k) for k in range(BOOTSTRAP_BATCHES)]
    counts, signal, _ = run.posterior_pairs(batches, device)
    usable = np.ones(counts.shape, bool)
    if model.clipping is not None:
        usable = (counts > model.clipping.below) & (counts < model.clipping.above)
    new, text = reshaped(model, counts[usable], signal[usable], quantisation_step(counts[0]))
    if new is not None:
        new.clipping, new.calibration = model.clipping, model.calibration
        new.structured = model.structured
        run.change_noise_model(Refined(new, [1.0], units=model))
    return f"the noise model is looked at again with the network's help: {text}"
