"""train(): a generator of events. The only importer of Fabric.

Every random number of step k comes from (seed, k), so that a run that was stopped and continued
is the unbroken one. A variant that begins with a trained model's weights counts on from its steps.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from napari_hdn.core import checkpoint, watching
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.errors import (
    ConfigurationError,
    MemoryShortError,
    OutputError,
    TrainingError,
    is_memory_short,
)
from napari_hdn.core.events import (
    Notice,
    Preview,
    PreviewRequest,
    RateLimit,
    ResidualsChecked,
    Saved,
    Stop,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    Validation,
    check_stop,
)
from napari_hdn.core.gradients import Gradients
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.optimisation import together
from napari_hdn.core.preparation import prepare, prepare_resumed, prepare_variant
from napari_hdn.core.progress import Budget, History, LossMeter
from napari_hdn.core.recipes.parts import Ended, TrainingPart
from napari_hdn.core.refinement import WATCH_EVERY
from napari_hdn.core.restoration import preview_plane
from napari_hdn.core.run import Run

PreviewSource = Callable[[], PreviewRequest | None]

VALIDATIONS_PER_SECOND = 0.2
FALL_BACKS_AT_MOST = 5


def train(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    *,
    folder: Path | None = None,
    resume: bool = False,
    start: HDN | None = None,
    scratch: bool = False,
    stop: Stop | None = None,
    preview: PreviewSource | None = None,
    repeated: TrainingPart | None = None,
    given_noise: NoiseModel | None = None,
) -> Iterator[TrainingEvent]:
    """Train an HDN on noisy images alone, telling what happens as it goes.

    Parameters
    ----------
    images : sequence of ImageStack
        Noisy images in camera counts; read lazily where they are large.
    config : TrainingConfig
        With ``resume``, only its budget, device and preview interval are taken; the rest is
        what the model was begun with.
    folder : Path, optional
        Where the model is saved, on a timer and at the end; nothing is written without it.
    resume : bool
        Continue the training in ``folder``: to the end of its budget, or of a larger one in
        ``config``; a finished training gets the budget once more.
    start : HDN, optional
        Make a variant of this model: begin with its weights, keep its noise model, as it is now,
        and its normalisation. See `napari_hdn.core.variants.variant_config` for its config.
    scratch : bool
        With ``start``: begin with random weights, all else as there.
    stop : Stop, optional
        Looked at every step; when requested, training ends with a usable, saved model.
    preview : callable, optional
        Asked every ``config.preview_seconds`` for a piece of an image to restore.
    repeated : TrainingPart, optional
        Take exactly the steps of this part of an earlier training, at its learning rates; for
        `napari_hdn.core.recipes.repeating`. One that was cut off ends without `TrainingFinished`.
    given_noise : NoiseModel, optional
        Beside ``repeated``: the noise model that the file of ``config`` held.

    Yields
    ------
    TrainingEvent
        `TrainingStarted` first (after notices), `TrainingFinished` with the model last.

    Raises
    ------
    ImageError, AxesError
        If the images cannot be trained on.
    NoiseModelError, ConfigurationError, DeviceError, ModelFolderError, OutputError
        If what was chosen does not fit; before anything was written.
    TrainingError
        If the loss stays infinite whatever the step guard does.
    MemoryShortError
        If the patches do not fit in memory.
    StoppedEarly
        If ``stop`` was requested before the first step of a new training.

    Whatever ends a training that has begun, the model is saved as it is then.
    """
    stop = stop or Stop()
    device = choose(config.device)
    yield Notice("Reading the images and estimating their noise.")
    if resume:
        if folder is None:
            raise ConfigurationError("To continue a training, give the folder of its model.")
        if start is not None:
            raise ConfigurationError(
                "A training either goes on or begins as a variant of another model, not both."
            )
        run = prepare_resumed(images, config, folder, device, stop)
    else:
        if folder is not None and folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; choose another name for the model.")
        if folder is not None and folder.exists() and any(folder.iterdir()):
            raise OutputError(
                f"The folder {folder} exists and is not empty; choose another name for the model, or "
                "continue its training."
            )
        if start is not None:
            run = prepare_variant(images, config, start, device, stop, scratch=scratch)
        else:
            run = prepare(images, config, device, stop, given_noise=given_noise)
    yield from run.remarks
    check_stop(stop)
    if repeated is not None:
        run.budget.repeat(repeated)
    trainer = _Trainer(run, device, folder, stop, preview, repeated)
    try:
        with kept_memory():
            yield from trainer.events()
    except Exception as error:
        yield from trainer.rescue()
        if is_memory_short(error):
            raise MemoryShortError(
                f"There is not enough memory on {device.label} for batches of "
                f"{run.config.batch_size} patches of {run.config.patch_px} x {run.config.patch_px} "
                "pixels. Choose smaller patches or a smaller batch in the expert settings, or close "
                "other programs."
            ) from error
        raise


@dataclass
class _Trainer:
    """The loop around one run; events() is the whole of it."""

    run: Run
    device: Device
    folder: Path | None
    stop: Stop
    preview: PreviewSource | None
    repeated: TrainingPart | None = None

    def _fabric(self) -> Fabric:
        bfloat16 = self.device.dtype(self.run.config.precision) is torch.bfloat16
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice for clusters; would become pop-ups in napari
            logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # and words on stderr
            return Fabric(
                accelerator=self.device.name,
                devices=1,
                precision="bf16-mixed" if bfloat16 else "32-true",
            )

    def events(self) -> Iterator[TrainingEvent]:
        run, config = self.run, self.run.config
        fabric = self._fabric()
        objective, optimizer = fabric.setup(run.objective, run.optimizer)
        rng = torch.Generator(device=fabric.device)
        gradients = Gradients(objective, fabric.backward, self.device)
        budget, meter, history = run.budget, LossMeter(), run.history
        budget.start()
        may_speak, may_validate = RateLimit(), RateLimit(VALIDATIONS_PER_SECOND)
        may_preview = RateLimit(1 / config.preview_seconds)
        may_save = RateLimit(1 / (60 * config.checkpoint_minutes))
        may_save.ready()
        yield TrainingStarted(
            device=self.device.label,
            parameters=sum(p.numel() for p in run.network.parameters()),
            noise_model=run.noise_model.describe(),
            training_planes=len(run.split.training),
            validation_planes=len(run.split.validation),
            first_step=run.step,
            folder=self.folder,
        )
        while not (budget.used_up(run.step) or self.stop.requested or run.watch.copies_noise):
            budget.follow(run.step)
            if self.repeated is not None:
                gradients.parts = max(gradients.parts, self.repeated.parts_of_a_batch(run.step))
            rate = budget.learning_rate(config, run.step, run.guard.rate_scale)
            for group in optimizer.param_groups:
                group["lr"] = rate
            counts, image = run.patches.batch(run.draw)
            rng.manual_seed(_step_seed(config.seed, run.draw))
            optimizer.zero_grad()
            try:
                losses = gradients.add(counts, image, rng)
            except Exception as error:
                gradients.make_smaller(error, config.batch_size)
                run.batch_norm.restore()
                run.split_batches.append((run.step, gradients.parts))
                yield Notice(
                    f"There is not enough memory on {self.device.label} for {config.batch_size} patches "
                    f"at a time; going on with {gradients.at_a_time(config.batch_size)} at a time.",
                    "warning",
                )
                continue
            norm = torch.nn.utils.clip_grad_norm_(
                run.objective.parameters(), config.gradient_clip, foreach=together(fabric.device)
            )
            # one read of two numbers a step: what the guard refuses must not reach the weights
            loss, size = torch.stack([losses.loss.detach(), norm]).tolist()
            verdict = run.guard.judge(loss, size)
            if verdict == "apply":
                optimizer.step()
                run.batch_norm.remember()
                run.averaged.update(run.network, run.step)
                meter.add(losses)
            else:
                run.batch_norm.restore()
            if verdict == "fall_back":
                run.fall_back()
                if run.guard.fall_backs > FALL_BACKS_AT_MOST:
                    raise TrainingError(
                        f"The loss stayed infinite or jumped at step {run.step}, however small the "
                        "steps. The noise model may not fit the images: check sigma or its file."
                    )
                yield Notice(
                    f"Step {run.step}: three steps in a row were refused (loss {loss:.4g}, gradient "
                    f"{size:.4g}). Going on from the averaged weights at half the learning rate.",
                    "warning",
                )
            run.step += 1
            if may_speak.ready() and meter.count:
                yield history.keep(meter.event(run.step, budget, rate))
            if run.step % WATCH_EVERY == 0:
                yield from watching.look(run, self.device, _step_seed(config.seed, 0), self.stop)
            if may_validate.ready():
                yield from self._validate(rng, history)
                may_validate.rest()
            if self.preview is not None and may_preview.ready():
                yield from self._preview()
                may_preview.rest()
            if may_save.ready():
                yield from self._save(budget, "cut", final=False)
        if self.repeated is not None and self.repeated.ended == "cut" and not self.stop.requested:
            yield from self._save(budget, "cut")  # to go on from, as it was then
            return
        if meter.count:
            yield history.keep(meter.event(run.step, budget, 0.0))
        if run.watch.copies_noise:
            yield watching.back_to_the_least(run)
        run.finish_weights()
        yield from self._validate(rng, history)
        if (check := run.check_residuals(self.device)) is not None:
            yield ResidualsChecked(run.step, check)
            yield Notice(check.in_words(), "info" if check.verdict == "good" else "warning")
        if self.preview is not None:
            yield from self._preview()
        ended = self._ended(budget)
        yield from self._save(budget, ended)
        model = self._model(budget, ended)
        yield TrainingFinished(model, run.step, model.summary.stopped, model.folder)

    def _ended(self, budget: Budget) -> Ended:
        if self.run.watch.copies_noise:
            return "by itself"
        if not budget.used_up(self.run.step):
            return "stopped"
        return "complete" if self.repeated is None else self.repeated.ended

    def rescue(self) -> Iterator[TrainingEvent]:
        """Save what there is when something unexpected ends the training."""
        if self.run.step > 0:
            self.run.batch_norm.restore()  # of a step that was not taken
            yield from self._save(self.run.budget, "cut")

    def _validate(self, rng: torch.Generator, history: History) -> Iterator[TrainingEvent]:
        run = self.run
        if run.validation is None:
            return
        rng.manual_seed(_step_seed(run.config.seed, 0))
        with torch.no_grad(), run.autocast(self.device):
            losses = run.averaged_objective(*run.validation, rng, dropout=False)
        event = Validation(
            run.step,
            float(losses.reconstruction + losses.kl.sum()),
            float(losses.reconstruction),
            float(losses.kl.sum()),
            tuple(losses.kl.tolist()),
        )
        yield history.keep(event)

    def _preview(self) -> Iterator[TrainingEvent]:
        assert self.preview is not None
        request = self.preview()
        if request is None:
            return
        run = self.run
        image = preview_plane(
            run.averaged_network, run.normalisation, run.noise_model, request.image, self.device
        )
        yield Preview(run.step, image, request.tag)

    def _model(self, budget: Budget, ended: Ended) -> HDN:
        run = self.run
        return run.model(
            seconds=budget.elapsed_s, ended=ended, device=self.device, folder=self.folder
        )

    def _save(self, budget: Budget, ended: Ended, *, final: bool = True) -> Iterator[TrainingEvent]:
        if self.folder is None:
            return
        try:
            checkpoint.save(self._model(budget, ended), self.folder)
            checkpoint.save_resume(self.folder, self.run.state(budget))
        except OutputError as error:
            kept = "The model is still in memory" if final else "Training goes on"
            yield Notice(f"{error} {kept}.", "warning")
            if final:
                self.folder = None
            return
        yield Saved(self.run.step, self.folder)


def _step_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63
