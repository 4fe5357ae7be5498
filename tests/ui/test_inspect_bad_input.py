"""The Inspect dock and what goes wrong: clear words, nothing lost, nothing stale shown."""

import threading

import numpy as np
import pytest

from inspecting import settled
from napari_hdn import api
from napari_hdn.core.config import NetworkConfig, TrainingConfig


def test_no_model_and_no_image(viewer, session, open_dock, errors):
    dock = open_dock("Inspect latent levels")
    dock.inspect.click()
    assert "Choose a model" in errors[-1]
    assert dock.progress.line.warns
    dock.drawn.draw.click()
    assert "Choose a model" in errors[-1]


def test_no_image(inspect_dock, viewer, session, errors):
    viewer.layers.clear()
    inspect_dock.inspect.click()
    assert "Choose the image to look at" in errors[-1]
    viewer.add_image(np.ones((90, 90), np.float32), name="another")
    assert inspect_dock.piece.image.layer.name == "another"


def test_a_model_of_one_level(inspect_dock, session, striped, until_free, errors, qtbot):
    config = TrainingConfig(
        network=NetworkConfig(levels=1, channels=8, latent_channels=4),
        steps=2,
        minutes=None,
        patch_px=16,
        batch_size=2,
        device="cpu",
        precision="float32",
    )
    folder = api.free_model_folder("flat")
    for _ in api.train([api.ImageStack(striped, "TYX")], config, folder=folder):
        pass
    session.choose_model(folder)
    qtbot.waitUntil(lambda: session.model is not None)
    inspect_dock.inspect.click()
    until_free()
    assert "single latent level" in errors[-1]
    assert inspect_dock.progress.line.warns


def test_too_small_a_piece(inspect_dock, viewer, until_free, errors):
    viewer.add_image(np.ones((20, 90), np.float32), name="tiny")
    inspect_dock.piece.image.choose(viewer.layers["tiny"])
    inspect_dock.inspect.click()
    until_free()
    assert "too small to look at its levels" in errors[-1]


def test_other_intensities_are_told_of(inspect_dock, viewer, striped, until_free, session):
    viewer.add_image(striped * 200, name="bright")
    inspect_dock.piece.image.choose(viewer.layers["bright"])
    inspect_dock.inspect.click()
    until_free()
    assert "the model was trained on images from" in inspect_dock.notices.toPlainText()
    assert session.inspected is not None


def test_the_top_always_stays(inspected, session, errors):
    with pytest.raises(api.HDNError, match="top of the network and has to stay on"):
        session.switch_levels_off((1, 2, 3))
    with pytest.raises(api.HDNError):
        session.switch_levels_off((7,))
    assert session.levels_off == ()


def test_background_outside_the_piece(inspect_dock, viewer, session, errors):
    shapes = viewer.add_shapes(
        name="piece", scale=(0.13, 0.13), translate=(5, 6), units=("um", "um")
    )
    shapes.add_rectangles(np.array([[10, 20], [57, 83]]))
    dark = viewer.add_shapes(name="dark", scale=(0.13, 0.13), translate=(5, 6), units=("um", "um"))
    dark.add_rectangles(np.array([[70, 0], [90, 50]]))
    dock = inspect_dock
    dock.piece.part.choose("rectangle")
    dock.inspect.click()
    assert "Choose the Shapes layer with the rectangle" in errors[-1]
    dock.piece.rectangle.choose(shapes)
    dock.piece.background.choose(dark)
    assert "No rectangle of dark lies in the piece" in dock.piece.hint.text()
    dock.inspect.click()
    assert "No rectangle of dark lies in the piece" in errors[-1]


def test_stop_keeps_what_is_shown(inspected, session, until_free, held_inspection):
    before = session.inspected
    inspected.inspect.click()
    assert inspected.stop.isEnabled()
    inspected.stop.click()
    until_free()
    assert session.inspected is before
    assert "not looked at" in inspected.progress.line.text()


def test_a_result_for_another_image_is_dropped(
    inspect_dock, viewer, striped, session, until_free, held_inspection
):
    viewer.add_image(striped, name="other")
    inspect_dock.inspect.click()
    inspect_dock.piece.image.choose(viewer.layers["other"])
    held_inspection.set()
    until_free()
    assert session.inspected is None
    assert "striped is no longer the image" in inspect_dock.progress.line.text()


def test_a_layer_renamed_or_removed_while_it_is_inspected(
    inspect_dock, viewer, session, until_free, held_inspection, qtbot
):
    inspect_dock.inspect.click()
    viewer.layers["striped"].name = "renamed"
    held_inspection.set()
    until_free()
    assert session.inspected is not None
    held_inspection.clear()
    before = session.inspected
    inspect_dock.inspect.click()
    viewer.layers.remove(viewer.layers["renamed"])
    held_inspection.set()
    until_free()
    assert session.inspected is before
    inspect_dock.rows.rows[1].switch.click()  # what was inspected can still be looked at
    settled(session, qtbot, (1,))
    assert len(viewer.layers) == 3


def test_another_model_while_it_is_inspected(
    inspected, session, until_free, held_inspection, qtbot, striped
):
    assert list(inspected.rows.rows) == [3, 2, 1]
    inspected.inspect.click()
    session.choose_model(None)
    held_inspection.set()
    until_free()
    assert session.inspected is None
    assert not inspected.rows.rows
    assert "no longer the model" in inspected.progress.line.text()


def test_the_same_model_read_again_or_renamed_loses_nothing(inspected, session, qtbot):
    inspected.rows.rows[2].switch.click()
    look = session.inspected
    session.rename_model("renamed")
    qtbot.waitUntil(lambda: session.model is not None)
    assert session.model.name == "renamed"
    assert session.levels_off == (2,)
    assert session.inspected is look
    assert not inspected.rows.rows[2].switch.isChecked()


def test_a_switch_while_the_model_is_gone(inspected, session, errors):
    session.model = None  # being read
    inspected.rows.rows[1].switch.click()
    assert "Choose a model first" in errors[-1]
    assert inspected.rows.rows[1].switch.isChecked()


def test_closing_while_levels_are_decoded(inspected, viewer, session, qtbot, monkeypatch):
    let_go, begun = threading.Event(), threading.Event()

    def slowly(*args, **kwargs):
        begun.set()
        let_go.wait(60)

    monkeypatch.setattr(api, "structure_of_difference", slowly)
    inspected.rows.rows[1].switch.click()
    qtbot.waitUntil(begun.is_set)
    raw = viewer.__wrapped__
    viewer.close()
    let_go.set()
    qtbot.waitUntil(lambda: not session.live.busy)
    assert not raw.layers  # napari took them away, and none came back
    assert session.live.shown is None
