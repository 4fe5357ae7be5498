"""The loop around one run, in one process or in several that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import OutputError, TrainingError
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
)
from napari_hdn.core.hdn import HDN
from napari_hdn.core.recipes.parts import Ended, TrainingPart
from napari_hdn.core.restoring.restoration import preview_plane
from napari_hdn.core.training import watching
from napari_hdn.core.training.gradients import Gradients
from napari_hdn.core.training.objective import Losses
from napari_hdn.core.training.optimisation import together
from napari_hdn.core.training.processes import Alone
from napari_hdn.core.training.progress import LossMeter
from napari_hdn.core.training.refinement import WATCH_EVERY
from napari_hdn.core.training.run import Run

VALIDATIONS_PER_SECOND = 0.2
FALL_BACKS_AT_MOST = 5


@dataclass
class Trainer:
    """The loop around one run; events() is the whole of it.

    Of several processes all take the same steps; the leading one alone saves, validates and tells.
    """

    run: Run
    device: Device
    folder: Path | None
    stop: Stop
    preview: Callable[[], PreviewRequest | None] | None
    processes: Alone
    repeated: TrainingPart | None = None
    meter: LossMeter = field(default_factory=LossMeter)

    def events(self) -> Iterator[TrainingEvent]:
        """Train to the end of the budget, or until somebody asks to stop."""
        run, config, processes = self.run, self.run.config, self.processes
        leads, meter, history, budget = processes.rank.leads, self.meter, run.history, run.budget
        objective, optimizer, add_gradients = processes.setup(run)
        rng = processes.generator()
        gradients = Gradients(objective, add_gradients, self.device)
        processes.begin(budget)
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
        while not self._over():
            budget.follow(run.step)
            if self.repeated is not None:
                gradients.parts = max(gradients.parts, self.repeated.parts_of_a_batch(run.step))
            rate = budget.learning_rate(config, run.step, run.guard.rate_scale)
            for group in optimizer.param_groups:
                group["lr"] = rate
            counts, image = run.patches.batch(run.draw, rank=processes.rank)
            rng.manual_seed(_step_seed(config.seed, run.draw))
            optimizer.zero_grad()
            try:
                losses = gradients.add(counts, image, rng)
            except Exception as error:
                if processes.rank.of > 1:  # the others wait within their pass, and know nothing
                    raise
                gradients.make_smaller(error, config.batch_size)
                run.batch_norm.restore()
                run.split_batches.append((run.step, gradients.parts))
                yield Notice(
                    f"There is not enough memory on {self.device.label} for {config.batch_size} patches "
                    f"at a time; going on with {gradients.at_a_time(config.batch_size)} at a time.",
                    "warning",
                )
                continue
            yield from self._apply(losses, optimizer)
            run.step += 1
            if leads and may_speak.ready() and meter.count:
                yield history.keep(meter.event(run.step, budget, rate))
            if run.step % WATCH_EVERY == 0:
                yield from processes.look(run, self._look)
            if not leads:
                continue
            if may_validate.ready():
                yield from self._validate(rng)
                may_validate.rest()
            if self.preview is not None and may_preview.ready():
                yield from self._preview()
                may_preview.rest()
            if may_save.ready():
                yield from self._save("cut", final=False)
        if self.repeated is not None and self.repeated.ended == "cut" and not self.stop.requested:
            yield from self._save("cut")  # to go on from, as it was then
            return
        yield from self._end(rng)

    def _over(self) -> bool:
        run = self.run
        if run.budget.used_up(run.step) or run.watch.copies_noise:
            return True
        return self.processes.stopping(self.stop)

    def _apply(self, losses: Losses, optimizer: Any) -> Iterator[Notice]:
        """Take the step, unless its loss or gradient is out of all proportion."""
        run, processes = self.run, self.processes
        losses, about = processes.agree(run.objective, losses, self.stop)
        norm = torch.nn.utils.clip_grad_norm_(
            run.objective.parameters(),
            run.config.gradient_clip,
            foreach=together(self.device.torch),
        )
        # one read of a few numbers a step: what the guard refuses must not reach the weights
        loss, size, *told = torch.stack([losses.loss.detach(), norm, *about]).tolist()
        processes.hear(told)
        verdict = run.guard.judge(loss, size)
        if verdict == "apply":
            optimizer.step()
            run.batch_norm.remember()
            run.averaged.update(run.network, run.step)
            self.meter.add(losses)
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

    def _look(self) -> Iterator[Notice]:
        seed = _step_seed(self.run.config.seed, 0)
        yield from watching.look(self.run, self.device, seed, self.stop)

    def _end(self, rng: torch.Generator) -> Iterator[TrainingEvent]:
        run, budget, leads = self.run, self.run.budget, self.processes.rank.leads
        if leads and self.meter.count:
            yield run.history.keep(self.meter.event(run.step, budget, 0.0))
        if run.watch.copies_noise:
            yield watching.back_to_the_least(run)
        run.finish_weights()
        ended = self._ended()
        if leads:
            yield from self._validate(rng)
            if (check := run.check_residuals(self.device)) is not None:
                yield ResidualsChecked(run.step, check)
                yield Notice(check.in_words(), "info" if check.verdict == "good" else "warning")
            if self.preview is not None:
                yield from self._preview()
            yield from self._save(ended)
        model = self._model(ended)
        yield TrainingFinished(model, run.step, model.summary.stopped, model.folder)

    def _ended(self) -> Ended:
        if self.run.watch.copies_noise:
            return "by itself"
        if not self.run.budget.used_up(self.run.step):
            return "stopped"
        return "complete" if self.repeated is None else self.repeated.ended

    def rescue(self) -> Iterator[TrainingEvent]:
        """Save what there is when something unexpected ends the training."""
        if self.run.step > 0:
            self.run.batch_norm.restore()  # of a step that was not taken
            yield from self._save("cut")

    def _validate(self, rng: torch.Generator) -> Iterator[TrainingEvent]:
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
        yield run.history.keep(event)

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

    def _model(self, ended: Ended) -> HDN:
        run = self.run
        return run.model(
            seconds=run.budget.elapsed_s,
            ended=ended,
            device=self.device,
            folder=self.folder,
            processes=self.processes.rank.of,
        )

    def _save(self, ended: Ended, *, final: bool = True) -> Iterator[TrainingEvent]:
        if self.folder is None:
            return
        try:
            checkpoint.save(self._model(ended), self.folder)
            checkpoint.save_resume(self.folder, self.run.state(self.run.budget))
        except OutputError as error:
            kept = "The model is still in memory" if final else "Training goes on"
            yield Notice(f"{error} {kept}.", "warning")
            if final:
                self.folder = None
            return
        yield Saved(self.run.step, self.folder)


def _step_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63
