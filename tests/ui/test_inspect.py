"""The dock Inspect latent levels, driven as a user drives it."""

import numpy as np
import pytest

from inspecting import by_product, settled
from napari_hdn import api
from napari_hdn.ui.layers import product_of


def test_a_row_a_level_with_its_numbers(inspected, session, model, striped):
    dock = inspected
    *_, last = api.inspect_levels(model, striped[1], device="cpu")
    expected = last.inspection
    assert list(dock.rows.rows) == [3, 2, 1]  # the top on top
    for score in expected.scores:
        line = dock.rows.rows[score.level]
        assert line.words.text() == score.in_words()
        assert f"KL {score.kl:.3g} nats" in line.numbers.text()
        assert line.switch.isChecked()
        assert line.thumbnail.picture.shape == (96, 128)
    assert dock.rows.rows[2].scale.text() == "Details of 4–8 px = 0.52–1.04 µm"
    assert dock.advice.sentence.text() == f"<b>{expected.advice.in_words()}</b>"
    top = dock.rows.rows[3].switch
    assert not top.isEnabled()
    assert "has to stay on" in top.toolTip()
    assert dock.progress.line.text() == "Inspected striped, T 1: 128 × 96 pixels."


def test_contrast_is_shared_or_of_each_row(inspected):
    spans = [np.ptp(line.thumbnail.limits) for line in inspected.rows.rows.values()]
    assert np.ptp(spans) < 1e-6 * max(spans)
    inspected.rows.contrast.choose("own")
    spans = [np.ptp(line.thumbnail.limits) for line in inspected.rows.rows.values()]
    assert np.ptp(spans) > 0.1 * max(spans)


@pytest.mark.parametrize("off", [(1,), (1, 2), (2,)])
def test_a_flip_shows_before_without_and_removed(
    inspected, session, viewer, model, striped, qtbot, off
):
    for level in off:
        inspected.rows.rows[level].switch.click()
    settled(session, qtbot, off)
    view = api.level_view(model, striped[1], "cpu")
    before, without = view.restored(()), view.restored(off)
    source = viewer.layers["striped"]
    for product, picture in (
        ("before", before),
        ("without", without),
        ("removed", before - without),
    ):
        layer = by_product(viewer, product)
        np.testing.assert_allclose(layer.data, picture[None], atol=0.02)
        world = source.data_to_world((1, 3, 4))
        np.testing.assert_allclose(layer.world_to_data(world), (0, 3, 4), atol=1e-9)
    assert "preview" in by_product(viewer, "without").name
    low, high = by_product(viewer, "removed").contrast_limits
    assert low == -high < 0
    assert api.spoken_levels(off) in inspected.removed.words.text()
    np.testing.assert_array_equal(source.data, striped)


def test_flips_end_at_the_last_one_in_place(inspected, session, viewer, qtbot):
    rows = inspected.rows.rows
    rows[1].switch.click()
    settled(session, qtbot, (1,))
    layers = {p: by_product(viewer, p) for p in ("before", "without", "removed")}
    for level in (2, 1, 1, 2, 2, 1):  # faster than they are decoded
        rows[level].switch.click()
    settled(session, qtbot, (2,))
    assert all(by_product(viewer, p) is layer for p, layer in layers.items())
    assert "without level 2" in layers["without"].name
    viewer.layers.remove(layers["removed"])
    layers["before"].name = "mine"
    rows[2].switch.click()
    settled(session, qtbot, ())
    products = [product_of(x) for x in viewer.layers]
    assert products == [None, "before", "without"]
    assert layers["before"].name == "mine"
    np.testing.assert_array_equal(layers["without"].data, layers["before"].data)
    assert "nothing is removed" in inspected.removed.words.text()


def test_the_grid_is_borrowed(inspected, session, viewer, qtbot):
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    viewer.canvas.grid.shape = (3, -1)
    zoom = camera.zoom
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    assert grid.enabled
    assert camera.zoom < zoom
    inspected.removed.side_by_side.click()
    assert not grid.enabled
    assert grid.shape == (3, -1)
    assert camera.zoom == pytest.approx(zoom)
    assert not by_product(viewer, "removed").visible  # it would cover the image
    inspected.removed.side_by_side.click()
    assert grid.enabled
    assert by_product(viewer, "removed").visible
    grid.enabled = False  # by napari's own button
    assert not inspected.removed.side_by_side.isChecked()
    inspected.removed.side_by_side.click()
    for product in ("before", "without", "removed"):
        viewer.layers.remove(by_product(viewer, product))
    assert not grid.enabled
    assert grid.shape == (3, -1)
    assert [x.name for x in viewer.layers] == ["striped"]


def test_where_many_layers_are_in_sight_the_grid_is_only_offered(
    inspected, session, viewer, qtbot, striped
):
    for name in ("a", "b"):
        viewer.add_image(striped, name=name)
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    assert not viewer.canvas.grid.enabled
    assert not inspected.removed.side_by_side.isChecked()
    assert not by_product(viewer, "removed").visible
    inspected.removed.side_by_side.click()
    assert viewer.canvas.grid.enabled


def test_advice_is_used_only_on_request(inspected, session, monkeypatch):
    from dataclasses import replace

    look = session.inspected
    advice = replace(look.inspection.advice, off=(1, 2), verdict="artefact")
    inspection = replace(look.inspection, advice=advice)
    session.inspected = replace(look, inspection=inspection)
    session.inspection_changed.emit()
    assert session.levels_off == ()
    assert inspected.advice.use.isEnabled()
    inspected.advice.use.click()
    assert session.levels_off == (1, 2)
    assert not inspected.advice.use.isEnabled()


def test_restore_and_inspect_are_in_step(inspected, session, open_dock):
    restore = open_dock("Restore images")
    inspected.rows.rows[1].switch.click()
    assert not restore.levels.boxes[0].isChecked()
    restore.levels.boxes[1].click()
    assert not inspected.rows.rows[2].switch.isChecked()
    assert restore.config().deactivated_levels == session.levels_off == (1, 2)


def test_a_drawn_rectangle_and_background(
    inspect_dock, session, viewer, until_free, model, striped
):
    dock = inspect_dock
    shapes = viewer.add_shapes(
        name="here", scale=(0.13, 0.13), translate=(5, 6), units=("um", "um")
    )
    dock.piece.part.choose("rectangle")
    dock.piece.rectangle.choose(shapes)
    assert "draw a rectangle" in dock.piece.hint.text()
    shapes.add_rectangles(np.array([[10, 20], [57, 83]]))
    assert dock.piece.hint.text() == "striped, T 1: 64 × 48 pixels (y 10–57, x 20–83)."
    dark = viewer.add_shapes(name="dark", scale=(0.13, 0.13), translate=(5, 6), units=("um", "um"))
    dark.add_rectangles(np.array([[0, 0], [30, 50]]))
    dock.piece.background.choose(dark)
    dock.inspect.click()
    until_free()
    look = session.inspected
    np.testing.assert_array_equal(look.inspection.counts, striped[1, 10:58, 20:84])
    assert look.piece.boxes == ((0, 21, 0, 31),)


def test_figure_3_is_drawn_on_request(inspected, session, viewer, until_free, model, striped):
    drawn = inspected.drawn
    assert not drawn.as_layers.isEnabled()
    drawn.draw.click()
    until_free()
    *_, images = api.draw_levels(model, striped[1], device="cpu")
    assert len(drawn.thumbnails) == 3 * 6
    shown = drawn.thumbnails[2, 4].picture
    np.testing.assert_allclose(shown, images[1, 4], atol=0.02)
    drawn.as_layers.click()
    layer = by_product(viewer, "drawn")
    assert layer.data.shape == (6, 4, 1, 96, 128)
    assert tuple(layer.axis_labels) == ("sample", "level", "t", "y", "x")
    np.testing.assert_allclose(layer.data[4, 2, 0], images[1, 4], atol=0.02)
    source = viewer.layers["striped"]
    world = source.data_to_world((1, 3, 4))
    np.testing.assert_allclose(layer.world_to_data((5, 2, *world)), (4, 2, 0, 3, 4), atol=1e-9)
    drawn.origin.choose("prior")
    drawn.draw.click()
    until_free()
    assert session.drawn.origin == "prior"
    assert np.ptp(drawn.thumbnails[3, 0].limits) > 0


def test_contributions_as_layers(inspected, session, viewer):
    inspected.contributions.click()
    layer = by_product(viewer, "contributions")
    parts = session.inspected.inspection.decomposition.contributions
    np.testing.assert_array_equal(layer.data[1:, 0], parts)
    assert tuple(layer.axis_labels) == ("level", "t", "y", "x")


def test_a_second_dock_shows_the_same(inspected, viewer, session, qtbot):
    from napari_hdn.ui.inspect import InspectDock

    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    again = InspectDock(viewer.__wrapped__)
    qtbot.addWidget(again)
    assert again.rows.rows[1].words.text() == inspected.rows.rows[1].words.text()
    assert not again.rows.rows[1].switch.isChecked()
    assert again.removed.words.text() == inspected.removed.words.text()
