"""The dock Generate images, driven as a user drives it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import tifffile

from inspecting import by_product
from napari_hdn import api
from napari_hdn.cli import main
from napari_hdn.ui.generate import GenerateDock


@pytest.fixture
def dock(viewer, session, open_dock, model_folder, striped, qtbot) -> Any:
    """The dock with a placed layer and a model; small images."""
    viewer.add_image(
        striped,
        name="striped",
        scale=(1, 0.13, 0.13),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
        contrast_limits=(90, 170),
    )
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(50)
    dock = open_dock("Generate images")
    dock.device.choose("cpu")
    dock.height.setValue(60)
    dock.width.setValue(72)
    dock.number.setValue(3)
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("lines"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: session.model is not None)
    return dock


def made(model, **fields) -> np.ndarray:
    config = api.GenerationConfig(height=60, width=72, number=3, device="cpu", **fields)
    return np.stack([p for p in api.generate(model, config) if isinstance(p, np.ndarray)])


def test_real_next_to_generated(dock, session, model, striped, until_free):
    assert dock.image.layer.name == "striped"
    assert dock.view.isHidden()
    dock.seed.setValue(5)
    dock.generate.click()
    assert dock.stop.isEnabled() and not dock.generate.isEnabled()
    until_free()
    config = api.GenerationConfig(height=60, width=72, number=3, seed=5, device="cpu")
    images = made(model, seed=5)
    pieces = api.real_pieces(api.ImageStack(striped, "TYX"), (60, 72), 3, 5)
    *_, restored = api.restored_pieces(model, pieces, config)
    view = dock.view
    assert view.isVisible()
    for i in range(3):
        np.testing.assert_array_equal(view.pictures[i].picture, images[i])
        np.testing.assert_array_equal(view.real[i].picture, restored[i])
        assert view.pictures[i].limits == view.real[i].limits == view.real[0].limits
    assert view.pictures[3].isHidden() and view.real[3].isHidden()
    assert view.real_label.text() == "striped, restored, one posterior sample each"
    likeness = api.compare_with_real(list(restored), list(images))
    assert view.likeness.text() == likeness.in_words(8)
    assert "seed 5" in view.shown.text()
    assert dock.progress.line.text() == "Generated 3 images of 60 × 72 pixels."
    assert session.last["generation"].model is None  # let go of


def test_raw_images_are_compared_with_simulated_noise(dock, model, striped, until_free):
    dock.compare.choose(True)
    dock.generate.click()
    until_free()
    pieces = api.real_pieces(api.ImageStack(striped, "TYX"), (60, 72), 3)
    np.testing.assert_array_equal(dock.view.real[1].picture, pieces[1])
    noisy = made(model, camera_noise=True)
    np.testing.assert_array_equal(dock.view.pictures[1].picture, noisy[1])
    assert dock.view.real_label.text() == "striped, raw"
    assert "simulated camera noise" in dock.view.generated_label.text()


def test_nothing_real(dock, model, until_free):
    dock.image.choose(None)
    dock.generate.click()
    until_free()
    assert dock.view.real_label.isHidden() and dock.view.real[0].isHidden()
    assert dock.view.likeness.text() == ""
    np.testing.assert_array_equal(dock.view.pictures[0].picture, made(model)[0])
    dock.view.as_layers.click()
    layer = by_product(dock._session.viewer, "generated")
    assert layer.data.shape == (3, 60, 72)


def test_as_layers(dock, viewer, model, striped, until_free, tmp_path, capsys):
    dock.generate.click()
    until_free()
    dock.view.as_layers.click()
    assert "to the right of striped: press the house button" in dock.progress.line.text()
    layer, source = by_product(viewer, "generated"), viewer.layers["striped"]
    assert layer.data.shape == (3, 1, 60, 72)
    assert tuple(layer.axis_labels) == ("sample", "t", "y", "x")
    np.testing.assert_array_equal(layer.data[:, 0], made(model))
    assert layer.name == "lines [HDN generated, no real images]"
    assert tuple(layer.contrast_limits) == tuple(source.contrast_limits)
    corner = layer.data_to_world((2, 0, 0, 0))
    np.testing.assert_allclose(source.world_to_data(corner[1:]), (1, 0, 135), atol=1e-9)
    told = layer.metadata["napari-hdn"]
    assert told["config"]["seed"] == 0 and told["model"] == "lines" and told["source"] == "striped"
    # saved through napari, with its recipe beside it, which the terminal repeats
    assert layer.save(str(tmp_path / "g.ome.tif")) == [str(tmp_path / "g.ome.tif")]
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "a.tif", striped, photometric="minisblack")
    command = ["run", str(tmp_path / "g-recipe.json"), "--data", str(tmp_path / "raw")]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert "The images are identical to the recorded ones" in capsys.readouterr().out
    dock.view.as_layers.click()
    assert len(viewer.layers) == 3  # another one, never over the first
    assert dock.image.findText(layer.name) == -1  # nobody learns from it
    np.testing.assert_array_equal(source.data, striped)


def test_layers_leave_the_view_as_it_is(dock, viewer, until_free, qtbot):
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 9.0, 8.0), 123.0
    dock.generate.click()
    until_free()
    dock.view.as_layers.click()
    qtbot.wait(50)
    assert camera.zoom == pytest.approx(123) and camera.center == pytest.approx((0, 9, 8))


def test_layers_in_an_empty_viewer_fill_the_view(dock, viewer, until_free, qtbot):
    dock.image.choose(None)
    dock.generate.click()
    until_free()
    viewer.layers.clear()
    viewer.scene.camera.zoom = 1e-3
    dock.view.as_layers.click()
    qtbot.wait(50)
    assert viewer.scene.camera.zoom > 0.1
    assert viewer.scene.camera.center[-2:] == pytest.approx((29.5, 35.5))


def test_no_wider_than_other_docks(dock, viewer, striped, until_free):
    assert dock.minimumSizeHint().width() <= 441
    dock.image.choose(viewer.add_image(striped[0, :60, :72], name="a_long_name_of_a_file" * 4))
    dock.generate.click()
    until_free()
    assert "restored, one posterior sample each (1 piece: " in dock.view.real_label.text()
    assert dock.minimumSizeHint().width() <= 441


def test_one_piece_is_shown_once(dock, viewer, striped, until_free):
    dock.image.choose(viewer.add_image(striped[0, :60, :72], name="small"))
    dock.compare.choose(True)
    dock.generate.click()
    until_free()
    view = dock.view
    np.testing.assert_array_equal(view.real[0].picture, striped[0, :60, :72])
    assert view.real[1].isHidden() and view.pictures[2].isVisible()
    assert view.real_label.text() == "small, raw (1 piece: the image has no room for more)"
    assert "Generated (3 images) against real (1 piece): " in view.likeness.text()


@pytest.mark.parametrize("raw", [False, True])
def test_an_image_that_shows_nothing_is_not_compared(dock, viewer, until_free, raw):
    dock.image.choose(viewer.add_image(np.zeros((96, 128), np.uint16), name="dark"))
    dock.compare.choose(raw)
    dock.generate.click()
    until_free()
    assert dock.view.likeness.text().startswith("Not compared: the real pieces show nothing")
    assert len(dock.view.generated.images) == 3


def test_another_seed_gives_other_images(dock, until_free):
    dock.generate.click()
    until_free()
    before = dock.view.pictures[0].picture
    dock.another.click()
    assert dock.seed.value() != 0
    dock.generate.click()
    until_free()
    assert np.abs(dock.view.pictures[0].picture - before).max() > 0.1


def test_levels_that_are_off(dock, session, model, until_free):
    dock.levels.boxes[0].click()
    assert session.levels_off == (1,)
    dock.generate.click()
    until_free()
    expected = made(model, deactivated_levels=(1,))
    np.testing.assert_array_equal(dock.view.pictures[0].picture, expected[0])


def test_one_channel_of_several(dock, viewer, striped, until_free):
    both = np.stack([striped, striped + 50], axis=1)  # TCYX
    layer = viewer.add_image(both, name="two", axis_labels=("t", "c", "y", "x"))
    viewer.dims.set_current_step(1, 1)
    dock.image.choose(layer)
    dock.compare.choose(True)
    dock.generate.click()
    until_free()
    pieces = api.real_pieces(api.ImageStack(striped + 50, "TYX"), (60, 72), 3)
    for i in range(3):
        np.testing.assert_array_equal(dock.view.real[i].picture, pieces[i])


@pytest.fixture
def came() -> threading.Event:
    """Set when a `held` generation has handed over its first image."""
    return threading.Event()


@pytest.fixture
def held(monkeypatch, came) -> threading.Event:
    """A generation that waits after its first image until it is let go, or stopped."""
    go_on, generate = threading.Event(), api.generate

    def slowly(*args: Any, **kwargs: Any) -> Any:
        for part in generate(*args, **kwargs):
            yield part
            if isinstance(part, np.ndarray):
                came.set()
                while not go_on.wait(0.02) and not kwargs["stop"].requested:
                    pass

    monkeypatch.setattr(api, "generate", slowly)
    return go_on


def test_stop_keeps_what_is_done(dock, came, held, model, until_free, qtbot, monkeypatch):
    dock.generate.click()
    qtbot.waitUntil(came.is_set)
    dock.stop.click()
    assert not dock.stop.isEnabled()
    until_free()
    assert dock.progress.line.text() == "Stopped: 1 of 3 images of 60 × 72 pixels kept."
    monkeypatch.undo()
    np.testing.assert_array_equal(dock.view.pictures[0].picture, made(model)[0])
    assert dock.view.pictures[1].isHidden() and dock.view.real[0].isHidden()


def test_a_second_dock_shows_the_same(dock, viewer, session, until_free, qtbot):
    dock.generate.click()
    until_free()
    again = GenerateDock(viewer.__wrapped__)
    qtbot.addWidget(again)
    np.testing.assert_array_equal(again.view.pictures[0].picture, dock.view.pictures[0].picture)
    assert again.progress.line.text() == dock.progress.line.text()


def test_a_dock_opened_while_it_runs_shows_progress(dock, viewer, held, until_free, qtbot, session):
    dock.generate.click()
    qtbot.waitUntil(lambda: session.job is not None and (session.job.fraction or 0) > 0.2)
    again = GenerateDock(viewer.__wrapped__)
    qtbot.addWidget(again)
    assert again.stop.isEnabled() and not again.generate.isEnabled()
    held.set()
    until_free()
    assert again.view.generated is dock.view.generated is not None


def test_mistakes_are_told(viewer, open_dock, errors, session, striped):
    dock = open_dock("Generate images")
    dock.generate.click()
    assert errors == ["Choose a model, or train one in the dock Train HDN."]
    assert session.job is None


def test_sizes_beyond_the_memory_are_refused_with_numbers(dock, errors, until_free, monkeypatch):
    from napari_hdn.core.devices import Device

    monkeypatch.setattr(Device, "free_bytes", lambda self: 10**9)
    dock.height.setValue(10**6)  # stays at the largest there is
    dock.width.setValue(90_000)
    assert dock.memory.warns and "GB" in dock.memory.text()
    dock.generate.click()
    until_free()
    assert "3 images of 99999 x 90000 pixels" in errors[0] and "1.0 GB are free" in errors[0]
    assert "Choose fewer or smaller images" in dock.progress.line.text()


def test_an_image_with_holes_is_refused(dock, viewer, errors, striped, until_free):
    bad = striped.copy()
    bad[1, 40, 50] = np.nan
    dock.image.choose(viewer.add_image(bad, name="bad"))
    dock.generate.click()
    until_free()
    assert "pixels are NaN or infinite" in errors[0]


def test_labels_are_refused(dock, viewer, errors, session):
    dock.image.choose(viewer.add_labels(np.zeros((64, 64), int), name="cells"))
    dock.generate.click()
    assert "labels layer" in errors[0] and session.job is None


def test_other_intensities_get_a_notice(dock, viewer, striped, until_free):
    dock.image.choose(viewer.add_image(100 * striped, name="bright"))
    dock.generate.click()
    until_free()
    assert "bright runs from" in dock.notices.toPlainText() and dock.notices.isVisible()
