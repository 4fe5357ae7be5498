"""What one viewer has in hand: noise model, network, the running job, what the last jobs told.

Docks are views of it. They may be closed and opened again, or be there twice; the session stays
as long as its viewer.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from psygnal import Signal

from napari_hdn import api
from napari_hdn.ui import jobs
from napari_hdn.ui.calibration import Calibrated
from napari_hdn.ui.comparing import Compared
from napari_hdn.ui.failures import in_words
from napari_hdn.ui.inspection import Drawn, Inspected, LevelsJob
from napari_hdn.ui.jobs import BusyError, Job
from napari_hdn.ui.live import LevelPreview
from napari_hdn.ui.preferences import preferences

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_hdn.api import HDN
    from napari_hdn.core.calibration.record import Calibration

_log = logging.getLogger(__name__)
_sessions: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """The session of a viewer, the same one for all docks.

    Plugins are handed a proxy that dies early, so the viewer behind it is the key.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _sessions:
        _sessions[viewer] = Session(viewer)
    return _sessions[viewer]


def sessions() -> list[Session]:
    """Those of all viewers."""
    return list(_sessions.values())


class Session:
    """The truth behind all docks of one viewer; for the main thread.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    """

    job_changed = Signal()  # a job began or ended
    job_updated = Signal(object)  # a job told something: the Job
    model_changed = Signal()  # another current model, or something new is known of it
    models_changed = Signal()  # the models on disk: new, or renamed
    calibration_changed = Signal()  # another calibration in hand, or another file of it
    levels_changed = Signal()  # other levels are switched off
    inspection_changed = Signal()  # another look at the levels of the model, or none any more
    drawn_changed = Signal()  # other images drawn at its levels, or none any more
    compared_changed = Signal()  # other variants of a model were compared

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self.job: Job | None = None  # the one that runs
        self.last: dict[str, Job] = {}  # by kind, running or over
        self.results: dict[str, Job] = {}  # by kind, the last that has one
        self.model: HDN | None = None
        self.model_folder: Path | None = None
        self.model_error: str | None = None
        self.unsaved: HDN | None = None  # a trained model that could not be saved yet
        self.levels_off: tuple[int, ...] = ()  # of the current model, those trained off among them
        self.inspected: Inspected | None = None  # of the current model
        self.drawn: Drawn | None = None
        self.compared: Compared | None = None  # variants of one model
        self.calibration: Calibration | None = None  # the last one made
        self.calibration_path: Path | None = None
        self.accepted_noise_models: set[Path] = set()  # with failed checks that the user knows of
        self._axes: weakref.WeakKeyDictionary[Layer, str] = weakref.WeakKeyDictionary()
        self._levels_of: Any = None  # identity of the model that levels and looks at them belong to
        self._folder_axes: dict[Path, str] = {}
        self.live = LevelPreview(self)
        api.attach_log("napari")
        preferences.follow()

    @property
    def viewer(self) -> Any:
        """The viewer, or None once it is gone."""
        return self._viewer()

    # jobs

    def start(self, job: Job) -> None:
        """Begin a job.

        Raises
        ------
        BusyError
            If one is running already, or another viewer's writes to the same model folder.
        """
        self.check_free()
        jobs.start(job, self.viewer, self._take_in(job), lambda: self._on_job_finished(job))
        self.job = job
        self.last[job.kind] = job
        self.job_changed.emit()

    def check_free(self) -> None:
        """Say why no job can begin now, if none can.

        Raises
        ------
        BusyError
            If one is running.
        """
        if self.job is not None:
            done = "" if self.job.fraction is None else f" ({self.job.fraction:.0%} done)"
            raise BusyError(
                f"One job at a time: {self.job.title} is still running{done}. "
                "Stop it, or wait until it is done."
            )

    def stop(self) -> None:
        """Ask the running job to end with what it has."""
        if self.job is not None:
            self.job.stop.request()
            self.job_updated.emit(self.job)

    def report(self, message: str) -> None:
        """Show an error without a traceback: it is about what the user chose."""
        _log.info("told the user: %s", message)
        show_error(message)

    def _take_in(self, job: Job) -> Callable[[Any], None]:
        def on_event(event: Any) -> None:
            assert jobs.on_main_thread()
            if job.abandoned:
                return
            job.show(event)
            if job.has_result:
                self.results[job.kind] = job
            match event:
                case api.Saved() | api.Imported():
                    self.models_changed.emit()
                case api.TrainingFinished(model=model, folder=folder):
                    if folder is None:
                        self.unsaved = model
                    self.set_model(folder, model)
                    self.models_changed.emit()
                case Inspected() | Drawn():
                    self._take_look(job, event)
                case Compared():
                    self.compared = event
                    self.compared_changed.emit()
                case Calibrated(calibration=calibration, path=path):
                    self.set_calibration(calibration, path)
                case jobs.Failed(text=text):
                    self.report(text)
            self.job_updated.emit(job)

        return on_event

    def _on_job_finished(self, job: Job) -> None:
        job.failed |= job.outcome is None
        job.end(f"{job.title[:1].upper()}{job.title[1:]} ended by an unexpected error.")
        following: Job | None = None
        try:
            following = None if job.failed or job.abandoned else job.next()
        except Exception as error:
            self._report_unstarted(error)
        finally:  # whatever happens, the next job can begin
            job.close()
            self.job = None
        if not job.abandoned:
            self.job_updated.emit(job)
            self.job_changed.emit()
        if following is not None and self.job is None:
            try:
                self.start(following)
            except api.HDNError as error:
                self._report_unstarted(error)

    def _report_unstarted(self, error: Exception) -> None:
        self.report(f"What was to follow could not be begun: {in_words(error) or repr(error)}")

    # models

    def choose_model(self, folder: Path | None) -> None:
        """Make a model folder the current one, and read it in the background."""
        self.set_model(folder, None)
        if folder is None:
            return

        def on_result(model: HDN) -> None:
            if self.model_folder == folder:
                self.set_model(folder, model)

        def on_error(text: str) -> None:
            if self.model_folder == folder:
                self.model_error = text
                self._forget_levels(None)
                self.model_changed.emit()

        jobs.look_up(lambda: api.load_model(folder), on_result, on_error)

    def set_model(self, folder: Path | None, model: HDN | None) -> None:
        """Make a model the current one; without ``model`` it is yet to be read."""
        self.model_folder, self.model, self.model_error = folder, model, None
        if model is not None or folder is None:  # else it is yet to be read
            self._forget_levels(model)
        self.model_changed.emit()

    def chosen_model(self) -> HDN:
        """The current model.

        Raises
        ------
        HDNError
            If there is none, or it cannot be read, or is not read yet.
        """
        if self.model is not None:
            return self.model
        if self.model_error is not None:
            raise api.HDNError(self.model_error)
        if self.model_folder is not None:
            raise api.HDNError(
                f"{self.model_folder.name} is still being read; try again in a moment."
            )
        raise api.HDNError("Choose a model, or train one in the dock Train HDN.")

    def choose_unsaved(self) -> None:
        """Make the model that could not be saved the current one again."""
        self.set_model(None, self.unsaved)

    def save_model(self, name: str) -> None:
        """Save the model that could not be saved when its training ended.

        Raises
        ------
        HDNError
            If there is none, or it cannot be saved now either.
        """
        model = self.unsaved
        if model is None:
            raise api.HDNError("There is no model to save; every model is saved already.")
        folder = api.reserve_model_folder(name)
        try:
            model.save(folder)
        except api.HDNError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise
        self.unsaved = None
        self.set_model(folder, model)
        self.models_changed.emit()

    def rename_model(self, name: str) -> None:
        """Give the current model another name.

        Raises
        ------
        HDNError
            If there is no current model, a job is using it, or the name is taken.
        """
        if self.model_folder is None:
            raise api.HDNError("There is no model to rename yet; train one, or choose one.")
        self.check_free()
        jobs.check_folder(self.model_folder)
        folder = api.rename_model(self.model_folder, name)
        self.models_changed.emit()
        self.choose_model(folder)

    # levels

    def switch_levels_off(self, off: Iterable[int]) -> None:
        """Choose the levels that are off, besides those that the model was trained without.

        Raises
        ------
        HDNError
            If there is no model, no such level, or it is the top.
        """
        if self.model is None:
            raise api.HDNError("Choose a model first; only then there are levels to switch.")
        network = api.switched_off(
            self.model.config.network, {*off, *self.model.config.network.deactivated_levels}
        )
        if network.deactivated_levels != self.levels_off:
            self.levels_off = network.deactivated_levels
            self.levels_changed.emit()

    def _forget_levels(self, model: HDN | None) -> None:
        """Another model has other levels; the same one, read again or renamed, has not."""
        of = None if model is None else _identity(model)
        if of == self._levels_of:
            return
        self._levels_of = of
        off = () if model is None else tuple(sorted(model.config.network.deactivated_levels))
        self.levels_off, self.inspected, self.drawn = off, None, None
        self.levels_changed.emit()
        self.inspection_changed.emit()
        self.drawn_changed.emit()

    def _take_look(self, job: Job, look: Inspected | Drawn) -> None:
        assert isinstance(job, LevelsJob)
        if job.unwanted or self.model is None or _identity(look.model) != self._levels_of:
            return
        if isinstance(look, Drawn):
            self.drawn = look
            self.drawn_changed.emit()
        else:
            self.inspected = look
            self.inspection_changed.emit()

    # noise models

    def set_calibration(self, calibration: Calibration, path: Path | None) -> None:
        """Take a calibration in hand, with the file that holds it."""
        self.calibration, self.calibration_path = calibration, path
        self.calibration_changed.emit()

    def save_calibration(self, path: Path) -> None:
        """Write the calibration in hand to a file of the user's choice.

        Raises
        ------
        HDNError
            If there is none, the file exists, cannot be written, or cannot hold such a model.
        """
        if self.calibration is None:
            raise api.HDNError("There is no noise model to save yet; calibrate one.")
        written = api.save_calibration(self.calibration, path)
        if self.calibration_path is None and written.suffix == ".json":
            self.set_calibration(self.calibration, written)
        else:
            self.models_changed.emit()  # perhaps in the folder of noise models

    # what the user said of images

    def axes_of(self, images: Layer | Path) -> str | None:
        """The axes that the user gave a layer, or a folder's images, in some dock; else None."""
        if isinstance(images, Path):
            return self._folder_axes.get(images)
        return self._axes.get(images)

    def set_axes(self, images: Layer | Path, axes: str | None) -> None:
        """Remember the axes, checked by the caller, that the user gave a layer or a folder."""
        kept: Any = self._folder_axes if isinstance(images, Path) else self._axes
        if axes:
            kept[images] = axes
        else:
            kept.pop(images, None)


def _identity(model: HDN) -> Any:
    """What tells models apart, whatever they are called."""
    done = model.summary
    return done.created, done.seconds, done.steps, model.config
