"""The layers of the level inspector: whose they are, where they lie, and what is kept of them."""

import gc
import weakref

import numpy as np
import pytest

from inspecting import by_product, settled
from napari_hdn import api
from napari_hdn.api import JobRecipe
from napari_hdn.core.artefacts import Structure
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.core.events import PlaneRestored
from napari_hdn.ui.comparing import ComparisonJob
from napari_hdn.ui.looks import limit_of, sparse
from napari_hdn.ui.parts.levels.removed import structure_in_words
from napari_hdn.ui.piece import whole_plane
from napari_hdn.ui.sources import LayerSource


def correlated(reach_x, reach_y):
    return Structure("differences", np.eye(5), 0.01, reach_y, reach_x, 1.0, 10.0, "structured")


def test_lines_are_told_from_what_may_be_structure():
    lines = structure_in_words(correlated(9, 1))
    assert "along x over 9 px and along y over 1 px: lines along x" in lines
    assert "lines along y" in structure_in_words(correlated(0, 3))
    blobs = structure_in_words(correlated(9, 3))
    assert "look whether it shows structures" in blobs
    assert "lines" not in blobs
    assert not any("stay on" in words for words in (lines, blobs))


def test_the_slider_shows_the_level(inspected, session, viewer, until_free):
    inspected.contributions.click()
    layer = by_product(viewer, "contributions")
    whole = session.inspected.inspection.decomposition
    assert viewer.dims.current_step[0] == 1  # level 1 first, not the remainder
    for level in (1, 2, 3):
        viewer.dims.set_current_step(0, level)
        at = tuple(int(v) for v in np.round(layer.world_to_data(viewer.dims.point))[:1])
        assert at == (level,)
        np.testing.assert_array_equal(layer.data[at][0], whole.contributions[level - 1])
    np.testing.assert_allclose(layer.data.sum(axis=0)[0], whole.image, rtol=1e-5)
    inspected.drawn.draw.click()
    until_free()
    inspected.drawn.as_layers.click()
    drawn = by_product(viewer, "drawn")
    for made in (layer, drawn):
        recipe = JobRecipe.model_validate(made.metadata["napari-hdn"]["recipe"])
        assert recipe.kind == "levels" and recipe.job.one("image").plane == (1,)
        assert recipe.job.look.image == recipe.job.one("image").image.name
    for level in (1, 2, 3):
        viewer.dims.set_current_step(1, level)
        sample, at = (int(v) for v in np.round(drawn.world_to_data(viewer.dims.point))[:2])
        assert at == level
        np.testing.assert_array_equal(
            drawn.data[sample, at, 0], session.drawn.images[level - 1, sample]
        )


PARTS = ("before", "without", "removed")


def inspect(dock, session, layer, until_free):
    dock.piece.image.choose(layer)
    dock.inspect.click()
    until_free()
    assert session.inspected.piece.source.layer is getattr(layer, "__wrapped__", layer)


def flip(dock, session, qtbot, level):
    dock.rows.rows[level].switch.click()
    settled(session, qtbot, session.levels_off)
    assert session.live.shown.look is session.inspected


def test_a_duplicate_is_the_users(inspected, session, viewer, qtbot, until_free):
    flip(inspected, session, qtbot, 1)
    own = {product: by_product(viewer, product) for product in PARTS}
    copy = type(own["without"]).create(*own["without"].as_layer_data_tuple())
    copy.data = copy.data.copy()
    copy.metadata = dict(own["without"].metadata)
    copy.name = "kept"
    viewer.add_layer(copy)
    kept = copy.data.copy()
    inspected.inspect.click()
    until_free()
    flip(inspected, session, qtbot, 2)
    np.testing.assert_array_equal(copy.data, kept)
    assert copy.name == "kept"
    assert "without levels 1-2" in own["without"].name
    np.testing.assert_array_equal(own["without"].data[0], session.live.shown.without)
    assert len(viewer.layers) == 5


def test_an_image_of_the_same_name_has_layers_of_its_own(
    inspected, session, viewer, qtbot, until_free, striped
):
    flip(inspected, session, qtbot, 1)
    first = {product: by_product(viewer, product) for product in PARTS}
    data = {product: layer.data for product, layer in first.items()}
    viewer.layers["striped"].name = "old"
    another = viewer.add_image(striped[:, ::-1] + 5, name="striped")
    inspect(inspected, session, another, until_free)
    flip(inspected, session, qtbot, 2)
    assert all(first[product].data is data[product] for product in PARTS)
    assert len(viewer.layers) == 8


def test_grid_and_box_agree_on_a_second_image(
    inspected, session, viewer, qtbot, until_free, striped
):
    grid, box = viewer.canvas.grid, inspected.removed.side_by_side
    old = viewer.layers["striped"]
    flip(inspected, session, qtbot, 1)
    first = {product: by_product(viewer, product) for product in PARTS}
    assert grid.enabled
    other = viewer.add_image(striped + 7, name="other")
    inspect(inspected, session, other, until_free)
    settled(session, qtbot, (1,))
    qtbot.waitUntil(lambda: len(viewer.layers) == 8)
    second = {
        layer.metadata["napari-hdn"]["product"]: layer
        for layer in viewer.layers
        if layer.metadata and layer not in first.values()
    }
    assert set(second) == set(PARTS)
    assert grid.enabled
    assert box.isChecked()
    assert not any(layer.visible for layer in first.values())
    assert all(layer.visible for layer in second.values())
    inspect(inspected, session, old, until_free)
    qtbot.waitUntil(lambda: first["removed"].visible)
    assert all(layer.visible for layer in first.values())
    assert not any(layer.visible for layer in second.values())
    assert len(viewer.layers) == 8
    assert grid.enabled


def test_a_second_image_among_many_layers_gives_the_grid_back(
    inspected, session, viewer, qtbot, until_free, striped
):
    grid, box = viewer.canvas.grid, inspected.removed.side_by_side
    flip(inspected, session, qtbot, 1)
    assert grid.enabled
    assert inspected.removed.hint.text() == ""
    first = [by_product(viewer, product) for product in PARTS]
    for name in ("a", "b", "c"):
        other = viewer.add_image(striped + 7, name=name)
    inspect(inspected, session, other, until_free)
    qtbot.waitUntil(lambda: len(viewer.layers) == 10)
    assert not grid.enabled
    assert not box.isChecked()
    assert not any(layer.visible for layer in first)
    assert not viewer.layers["c [HDN removed by level 1 off]"].visible
    assert "more than two other layers" in inspected.removed.hint.text()
    box.click()
    assert grid.enabled
    assert inspected.removed.hint.text() == ""
    assert viewer.layers["c [HDN removed by level 1 off]"].visible


def test_a_layer_that_comes_back_gets_its_place(inspected, session, viewer, qtbot, until_free):
    grid = viewer.canvas.grid
    flip(inspected, session, qtbot, 1)
    for product in ("before", "removed"):
        viewer.layers.remove(by_product(viewer, product))
    grid.enabled = False
    session.live.layers.side_by_side.want(True)
    inspected.inspect.click()
    until_free()
    qtbot.waitUntil(lambda: len(viewer.layers) == 4)
    assert by_product(viewer, "removed").visible
    assert grid.enabled
    assert max(grid.actual_shape(viewer.layers)) == 2
    qtbot.wait(300)  # what was begun when they were removed is over by now
    assert grid.enabled


def test_nothing_is_kept_of_a_look_that_is_over(inspected, session, qtbot):
    flip(inspected, session, qtbot, 1)
    inspection = weakref.ref(session.inspected.inspection)
    look = weakref.ref(session.inspected)
    qtbot.wait(100)
    session.set_model(None, None)
    assert session.live.layers._look is None
    qtbot.wait(200)
    gc.collect()
    assert look() is None
    assert inspection() is None


def test_numbers_of_what_is_removed_come_with_it(inspected, session, viewer, qtbot):
    flip(inspected, session, qtbot, 2)
    shown = session.live.shown
    removed = shown.before.astype(np.float64) - shown.without
    np.testing.assert_allclose(shown.removed, removed, atol=1e-3)
    assert shown.rms == pytest.approx(np.sqrt(np.mean(removed**2)), rel=1e-4)
    assert shown.share == pytest.approx(removed.var() / shown.before.var(), rel=1e-3)
    assert f"{shown.rms:.3g} counts (RMS)" in inspected.removed.words.text()
    assert by_product(viewer, "removed").contrast_limits == [-shown.limit, shown.limit]


def test_contrast_of_a_large_plane_is_told_by_few_pixels():
    plane = np.random.default_rng(0).normal(0, 3, (2048, 2048)).astype(np.float32)
    assert sparse(plane).size == plane.size / 64
    assert sparse(plane[:512, :512]).size == 512 * 512
    assert limit_of(plane) == pytest.approx(np.percentile(np.abs(plane), 99.5), rel=0.02)


def comparison(model, striped, off, viewer):
    """A job on the first plane with some levels off."""
    layer = viewer.add_image(striped, name="striped").__wrapped__
    piece = whole_plane(viewer.__wrapped__, LayerSource.of(layer, "TYX", None))
    return ComparisonJob(model, off, [], piece, "cpu")


def restored(model, stack, config):
    (plane,) = [e for e in api.restore(model, stack, config) if isinstance(e, PlaneRestored)]
    return plane.planes["mean"]


@pytest.mark.parametrize("off", [(2,), (1, 2)])
def test_a_large_plane_is_compared_in_tiles(model, striped, viewer, monkeypatch, off):
    monkeypatch.setattr("napari_hdn.ui.live._AT_ONCE", 96 * 64)
    monkeypatch.setattr(api, "level_view", None)  # all of it in one piece
    job = comparison(model, striped, off, viewer)
    piece = job.piece
    *_, result = job.work()
    config = RestorationConfig(samples=1, deactivated_levels=off, device="cpu")
    stack = api.ImageStack(piece.read(), "YX", "plane")
    full, part = (
        restored(model, stack, config.model_copy(update={"deactivated_levels": levels}))
        for levels in ((), off)
    )
    rms = np.sqrt(np.mean((full - part) ** 2))
    assert result.numbers[model.folder, off].removed == pytest.approx(rms, rel=1e-3)
    assert rms > 0.01


def test_stop_ends_a_comparison_in_tiles(model, striped, viewer, monkeypatch):
    monkeypatch.setattr("napari_hdn.ui.live._AT_ONCE", 96 * 64)
    job, restore, told = comparison(model, striped, (2,), viewer), api.restore, []

    def stopped(*args, **kwargs):
        job.stop.request()
        told.append(kwargs["stop"].requested)
        return restore(*args, **kwargs)

    monkeypatch.setattr(api, "restore", stopped)
    with pytest.raises(StoppedEarly):
        list(job.work())
    assert told == [True]


def test_a_comparison_keeps_the_words_of_its_piece_only(inspected, session, qtbot, until_free):
    words = session.inspected.piece.in_words()
    piece, stack = (
        weakref.ref(x) for x in (session.inspected.piece, session.inspected.piece.source.stack)
    )
    inspected.variants.compare.click()
    until_free()
    assert session.compared.piece.in_words() == words
    assert words in inspected.variants.hint.text()
    session.set_model(None, None)
    qtbot.wait(200)
    gc.collect()
    assert (piece(), stack()) == (None, None)
