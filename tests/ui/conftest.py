"""A real viewer, docks opened as a user opens them, and a training that tests can hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from superqt.utils import WorkerBase

from calibrated import make_calibration
from napari_hdn import api
from napari_hdn.core import events as ev
from napari_hdn.ui.session import session_of

PLUGIN = "napari-hdn"
_PATIENCE_MS = 120_000  # machines of tests are shared: what is slow there is no mistake


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait this long for what they expect, in place of 5 s."""
    monkeypatch.setitem(QtBot.waitUntil.__kwdefaults__, "timeout", _PATIENCE_MS)


@pytest.fixture(autouse=True)
def no_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docks look at what is chosen only where a test asks them to."""
    monkeypatch.setattr("napari_hdn.ui.parts.estimate.LOOK_MS", 10**8)


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Napari's Preferences of plugins are of nobody, and are read anew."""
    import napari.settings

    if hasattr(napari.settings, "_PLUGIN_SETTINGS"):  # from napari 0.9 on
        monkeypatch.setattr(napari.settings, "_CFG_PATH", str(tmp_path / "napari" / "napari.yaml"))
        monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {})


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[..., Any], qtbot: Any) -> Iterator[Any]:
    """A shown viewer; at the end its job is stopped and all threads are waited for."""
    viewer = make_napari_viewer_proxy(show=True)
    session = session_of(viewer)
    yield viewer
    session.stop()
    qtbot.waitUntil(lambda: session.job is None)
    WorkerBase.await_workers(20_000)
    qtbot.wait(20)  # what the threads still had to say


@pytest.fixture
def session(viewer: Any) -> Any:
    return session_of(viewer)


@pytest.fixture
def second_viewer(make_napari_viewer_proxy: Callable[..., Any], viewer: Any, qtbot: Any) -> Any:
    """Another window, which is napari's current one from now on."""
    second = make_napari_viewer_proxy(show=True)
    yield second
    session = session_of(second)
    session.stop()
    qtbot.waitUntil(lambda: session.job is None)


@pytest.fixture
def open_dock(viewer: Any) -> Callable[[str], Any]:
    """Open a dock by the name that the menu shows."""
    return lambda name: viewer.window.add_plugin_dock_widget(PLUGIN, name)[1]


@pytest.fixture
def train_dock(open_dock: Callable[[str], Any]) -> Any:
    return open_dock("Train HDN")


@pytest.fixture
def calibrate_dock(open_dock: Callable[[str], Any]) -> Any:
    return open_dock("Calibrate noise model")


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was shown to the user as an error, without a traceback."""
    shown: list[str] = []
    monkeypatch.setattr("napari_hdn.ui.session.show_error", shown.append)
    return shown


@pytest.fixture
def tiny() -> Callable[[Any, int], None]:
    """Set a Train dock to the smallest network there is, for some steps."""

    def choose(dock: Any, steps: int) -> None:
        values = {
            "network.levels": 2,
            "network.blocks": 1,
            "network.channels": 8,
            "network.latent_channels": 4,
            "batch_size": 2,
            "patch_px": 16,
        }
        for key, value in values.items():
            dock.expert.fields[key].setValue(value)
        dock.expert.fields["precision"].choose("float32")
        dock.unit.choose("steps")
        dock.duration.setValue(steps)
        dock.device.choose("cpu")

    return choose


@pytest.fixture
def until_free(qtbot: Any, session: Any) -> Callable[..., None]:
    """Wait until no job runs."""

    return lambda: qtbot.waitUntil(lambda: session.job is None)


@pytest.fixture
def held_training(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replaces `api.train` by one that speaks and then waits for Stop or for the test.

    Attributes: ``go_on`` (an Event that lets it finish), ``calls``, ``requests`` (previews asked
    for), ``saved`` (folders), ``error`` (raised after the first events, if set), ``threads``,
    ``beats`` (whether it tells of a step every 20 ms).
    """
    state = SimpleNamespace(
        go_on=threading.Event(),
        calls=[],
        requests=[],
        saved=[],
        error=None,
        threads=[],
        beats=False,
    )

    def train(
        images: Any,
        config: Any,
        *,
        folder: Path | None = None,
        resume: bool = False,
        start: Any = None,
        scratch: bool = False,
        stop: ev.Stop | None = None,
        preview: Any = None,
    ) -> Iterator[Any]:
        call = SimpleNamespace(
            images=images, config=config, folder=folder, start=start, scratch=scratch
        )
        state.calls.append(call)
        state.threads.append(threading.current_thread())
        yield ev.TrainingStarted("CPU", 1234, "variance = 2 s + 3", 9, 1, 0, folder)
        yield ev.TrainingStep(1, 0.25, 1.0, 75.0, 5.5, 5.0, 0.5, (0.4, 0.1), 1e-3)
        yield ev.Validation(1, 6.0, 5.25, 0.75, (0.5, 0.25))
        if state.error is not None:
            raise state.error
        request = preview()
        if request is not None:
            state.requests.append(request)
            yield ev.Preview(1, request.image / 2, request.tag)
        while not stop.requested and not state.go_on.is_set():
            state.go_on.wait(0.02)
            if state.beats:
                yield ev.TrainingStep(2, 0.25, 1.0, 75.0, 5.5, 5.0, 0.5, (0.4, 0.1), 1e-3)
            again = preview()
            if again is not None and again.tag != request.tag:
                request = again
                state.requests.append(request)
                yield ev.Preview(2, request.image / 2, request.tag)
        folder.mkdir(parents=True, exist_ok=True)
        state.saved.append(folder)
        yield ev.Saved(7, folder)
        model = SimpleNamespace(
            folder=folder,
            name=folder.name,
            config=config,
            parameters=1234,
            can_continue=True,
            noise_model=SimpleNamespace(describe=lambda: "variance = 2 s + 3"),
            summary=SimpleNamespace(
                steps=7,
                seconds=75.0,
                created="2026-01-02T03:04:05",
                version="0",
                data=("noisy",),
                stopped=True,
                history=(),
            ),
        )
        yield ev.TrainingFinished(model, 7, stop.requested, folder)

    monkeypatch.setattr(api, "train", train)
    return state


@pytest.fixture
def held_calibration(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replaces `api.calibrate` by one that speaks once and then waits for Stop or for the test.

    Attributes: ``go_on`` (an Event that lets it finish; set at first), ``calibration`` (what it
    comes to), ``calls``, ``error`` (raised after the first event, if set).
    """
    state = SimpleNamespace(
        go_on=threading.Event(), calibration=make_calibration(), calls=[], error=None
    )
    state.go_on.set()

    def calibrate(
        images: Any,
        config: Any,
        *,
        dark: Any = None,
        clean: Any = None,
        meant_for: Any = None,
        stop: ev.Stop | None = None,
    ) -> Iterator[Any]:
        call = SimpleNamespace(
            images=images, config=config, dark=dark, clean=clean, meant_for=meant_for
        )
        state.calls.append(call)
        yield ev.CalibrationProgress(0.25, "measuring the variance", 1.0, 75.0)
        if state.error is not None:
            raise state.error
        while not state.go_on.wait(0.02):
            ev.check_stop(stop)
        yield ev.CalibrationFinished(state.calibration)

    monkeypatch.setattr(api, "calibrate", calibrate)
    return state


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Answer the question for a model's name."""

    def set_answer(name: str) -> None:
        monkeypatch.setattr(
            "napari_hdn.ui.parts.models.choice.QInputDialog.getText", lambda *a, **k: (name, True)
        )

    return set_answer


@pytest.fixture
def noisy() -> np.ndarray:
    """(T, Y, X) = (4, 96, 80) uint16 counts."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:96, :80]
    signal = 40 + 30 * np.sin(y / 9) * np.cos(x / 7)
    return (rng.poisson(signal, (4, 96, 80)) * 2 + 100).astype(np.uint16)


@pytest.fixture
def trained(tmp_path_factory: pytest.TempPathFactory, noisy: np.ndarray) -> Path:
    """A tiny model in the models folder, made without a screen."""
    from napari_hdn.core.config import NetworkConfig, TrainingConfig

    config = TrainingConfig(
        network=NetworkConfig(levels=2, channels=8, latent_channels=4),
        steps=4,
        minutes=None,
        patch_px=16,
        batch_size=2,
        device="cpu",
        precision="float32",
    )
    folder = api.free_model_folder("tiny")
    for _ in api.train([api.ImageStack(noisy, "TYX", "noisy")], config, folder=folder):
        pass
    return folder


@pytest.fixture
def dock(viewer: Any, session: Any, open_dock: Any, trained: Path, qtbot: Any, noisy: Any) -> Any:
    """The dock Restore images with a placed layer and a tiny model."""
    viewer.add_image(
        noisy,
        name="noisy",
        scale=(1, 0.2, 0.3),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    dock = open_dock("Restore images")
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("tiny"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: session.model is not None)
    return dock


@pytest.fixture
def striped() -> np.ndarray:
    """(T, Y, X) = (2, 96, 128) counts with horizontal lines."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:96, :128]
    photons = 20 + 15 * np.sin(y / 13) * np.cos(x / 17)
    lines = rng.standard_normal((2, 96, 128 // 8)).repeat(8, axis=-1)
    return (rng.poisson(photons, (2, 96, 128)) * 2 + 100 + 12 * lines).astype(np.float32)


@pytest.fixture
def model_folder(striped: np.ndarray) -> Path:
    """A tiny model of three levels in the models folder."""
    from napari_hdn.core.config import NetworkConfig, TrainingConfig

    config = TrainingConfig(
        network=NetworkConfig(levels=3, channels=8, latent_channels=4),
        steps=20,
        minutes=None,
        patch_px=32,
        batch_size=2,
        device="cpu",
        precision="float32",
    )
    folder = api.free_model_folder("lines")
    for _ in api.train([api.ImageStack(striped, "TYX", "striped")], config, folder=folder):
        pass
    return folder


@pytest.fixture
def model(model_folder: Path) -> Any:
    return api.load_model(model_folder)


@pytest.fixture
def inspect_dock(
    viewer: Any, session: Any, open_dock: Any, model_folder: Path, striped: np.ndarray, qtbot: Any
) -> Any:
    """The dock with a placed layer and a model."""
    viewer.add_image(
        striped,
        name="striped",
        scale=(1, 0.13, 0.13),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(50)
    dock = open_dock("Inspect latent levels")
    dock.device.choose("cpu")
    dock.piece.part.choose("plane")
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("lines"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: session.model is not None)
    return dock


@pytest.fixture
def inspected(inspect_dock: Any, session: Any, until_free: Any) -> Any:
    """The dock after a look at the levels."""
    inspect_dock.inspect.click()
    until_free()
    assert session.inspected is not None
    return inspect_dock


@pytest.fixture
def held_inspection(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An inspection that waits before each event until it is let go, or stopped."""
    go_on, inspect_levels = threading.Event(), api.inspect_levels

    def slowly(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for event in inspect_levels(*args, **kwargs):
            while not go_on.wait(0.02) and not kwargs["stop"].requested:
                pass
            yield event

    monkeypatch.setattr(api, "inspect_levels", slowly)
    yield go_on
    go_on.set()
