"""The dock Segment with diversity, driven as a user drives it."""

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

from cells import blobs
from inspecting import by_product
from napari_hdn import api
from napari_hdn.api import JobRecipe, SegmentationConfig
from napari_hdn.cli import main
from napari_hdn.ui.layers import selectable


@pytest.fixture
def segment_dock(open_dock):
    return open_dock("Segment with diversity")


@pytest.fixture
def with_model(viewer, session, segment_dock, model_folder, striped, qtbot):
    """The dock with a placed layer and a model."""
    viewer.add_image(
        striped,
        name="striped",
        scale=(1, 0.13, 0.2),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    viewer.dims.set_current_step(0, 1)
    session.choose_model(model_folder)
    qtbot.waitUntil(lambda: session.model is not None)
    segment_dock.device.choose("cpu")
    segment_dock.piece.part.choose("plane")
    segment_dock.samples.setValue(3)
    return segment_dock


@pytest.fixture
def with_samples(viewer, segment_dock):
    """The dock with a layer of samples, and a truth drawn by hand."""
    truth, samples = blobs(0, samples=4)
    layer = viewer.add_image(
        samples[:, None],
        name="cells [HDN samples]",
        scale=(1, 1, 0.5, 0.2),
        translate=(0, 0, 7, 8),
        units=("pixel", "second", "um", "um"),
        axis_labels=("sample", "t", "y", "x"),
        metadata={"napari-hdn": {"product": "samples", "axes": "STYX"}},
    )
    drawn = viewer.add_labels(
        truth, name="by hand", scale=(0.5, 0.2), translate=(7, 8), units=("um", "um")
    )
    segment_dock.origin.choose("layer")
    segment_dock.layer.choose(layer)
    segment_dock.recipe.recipe.choose("bright")
    segment_dock.recipe.least.setValue(30)
    return segment_dock, truth, samples, drawn


def test_with_a_model(with_model, viewer, session, until_free, model, striped, tmp_path, capsys):
    with_model.segment.click()
    until_free()
    config = SegmentationConfig(samples=3, device="cpu")
    *_, expected = api.segment(model, striped[1], config, number=1)
    source = viewer.layers["striped"]
    world = source.data_to_world((1, 3, 4))
    for product, data in (
        ("consensus", expected.consensus.labels[None]),
        ("confidence", expected.consensus.confidence_image()[None]),
        ("segmented", expected.samples[:, None]),
    ):
        layer = by_product(viewer, product)
        np.testing.assert_array_equal(layer.data, data)
        assert [str(u) for u in layer.units[-2:]] == ["micrometer", "micrometer"]
        at = (0, 3, 4) if product != "segmented" else (2, 0, 3, 4)
        there = world if product != "segmented" else (2, *world)
        np.testing.assert_allclose(layer.world_to_data(there), at, atol=1e-9)
        assert not selectable(layer)  # nobody restores labels
    identity = by_product(viewer, "consensus").metadata["napari-hdn"]
    assert identity["model"] == "lines" and identity["segmentation"]["samples"] == 3
    assert with_model.objects.table.rowCount() == len(expected.areas_px)
    n = len(expected.areas_px)
    assert f"{n} object" in with_model.progress.line.text()
    # the confidence is saved with a recipe, which the terminal repeats
    by_product(viewer, "confidence").save(str(tmp_path / "c.ome.tif"))
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "a.tif", striped, photometric="minisblack")
    command = ["run", str(tmp_path / "c-recipe.json"), "--data", str(tmp_path / "raw")]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert "The confidence is identical to the recorded one" in capsys.readouterr().out
    np.testing.assert_array_equal(source.data, striped)


def test_from_a_layer_of_samples(with_samples, viewer, until_free, qtbot):
    dock, truth, samples, drawn = with_samples
    dock.segment.click()
    until_free()
    *_, expected = api.segment_samples(samples, SegmentationConfig(recipe="bright", least_px=30))
    consensus, each = by_product(viewer, "consensus"), by_product(viewer, "segmented")
    np.testing.assert_array_equal(consensus.data, expected.consensus.labels[None])
    np.testing.assert_array_equal(each.data, expected.samples[:, None])
    recipe = JobRecipe.model_validate(consensus.metadata["napari-hdn"]["recipe"])
    assert recipe.model is None and recipe.job.one("samples").image.shape == samples.shape
    np.testing.assert_allclose(consensus.scale, (1, 0.5, 0.2))
    np.testing.assert_allclose(consensus.translate[-2:], (7, 8))
    assert dock.agreement.hint.text().startswith("Choose a labels layer")
    dock.agreement.truth.choose(drawn)
    qtbot.waitUntil(lambda: dock.agreement.scores.table.rowCount() == 6)
    scores = expected.scores(truth)
    dock.agreement.scores.copy.click()
    lines = [line.split("\t") for line in QApplication.clipboard().text().splitlines()]
    assert lines[0] == ["segmentation", "AP (IoU 0.5)", "AP (IoU 0.5:0.95)", "SEG", "objects"]
    got = [float(v) for v in lines[1][1:4]]
    agreed = scores.consensus
    np.testing.assert_allclose(got, [agreed.ap50, agreed.ap, agreed.seg], rtol=1e-5)
    dock.objects.copy.click()
    lines = [line.split("\t") for line in QApplication.clipboard().text().splitlines()]
    assert len(lines) == 1 + len(expected.areas_px)
    assert float(lines[1][5]) == pytest.approx(0.1 * expected.areas_px[0])


def test_an_object_of_the_table_is_shown(with_samples, viewer, until_free):
    dock, _, _, _ = with_samples
    dock.segment.click()
    until_free()
    dock.objects.table.selectRow(4)
    consensus = by_product(viewer, "consensus")
    assert consensus.selected_label == 5
    y, x = np.argwhere(consensus.data[0] == 5).mean(axis=0)
    np.testing.assert_allclose(
        viewer.scene.camera.center[-2:], (7 + 0.5 * y, 8 + 0.2 * x), rtol=1e-6
    )


def test_the_table_sorts_by_value(with_samples, until_free):
    dock, _, _, _ = with_samples
    dock.segment.click()
    until_free()
    dock.objects.table.sortByColumn(4, dock.objects.table.horizontalHeader().sortIndicatorOrder())
    shown = [
        int(dock.objects.table.item(k, 4).text()) for k in range(dock.objects.table.rowCount())
    ]
    assert shown in (sorted(shown), sorted(shown, reverse=True))


def test_truths_that_do_not_fit(with_samples, viewer, until_free, qtbot):
    dock, truth, _, _ = with_samples
    small = viewer.add_labels(truth[:50], name="half")
    empty = viewer.add_labels(truth * 0, name="empty")
    dock.segment.click()
    until_free()
    for layer, says in (
        (small, "half has 50 x 128 pixels; it must be"),
        (empty, "no objects here"),
    ):
        dock.agreement.truth.choose(layer)
        qtbot.waitUntil(lambda says=says: says in dock.agreement.hint.text())
        assert dock.agreement.hint.warns
        assert not dock.agreement.scores.isVisible()


def test_a_truth_of_the_whole_stack_and_a_rectangle(with_model, viewer, session, until_free, qtbot):
    shapes = viewer.add_shapes(name="here", scale=(0.13, 0.2), translate=(5, 6), units=("um", "um"))
    shapes.add_rectangles(np.array([[10, 20], [69, 99]]))
    labels = np.random.default_rng(0).integers(0, 9, (2, 96, 128))
    drawn = viewer.add_labels(labels, name="by hand")
    with_model.piece.part.choose("rectangle")
    with_model.piece.rectangle.choose(shapes)
    with_model.segment.click()
    until_free()
    found = session.last["segmentation"].result
    y, x = found.offset_px
    height, width = found.result.samples.shape[1:]
    expected = labels[1, y : y + height, x : x + width]
    np.testing.assert_array_equal(found.crop_of(drawn.data, "d"), expected)
    np.testing.assert_array_equal(found.crop_of(labels[1], "d"), expected)
    np.testing.assert_array_equal(found.crop_of(expected, "d"), expected)
    layer = by_product(viewer, "consensus")
    corner = layer.data_to_world((0, 0, 0))
    np.testing.assert_allclose(
        viewer.layers["striped"].world_to_data(corner)[1:], (y, x), atol=1e-6
    )


def test_a_function_of_ones_own(with_samples, viewer, tmp_path, until_free, errors):
    dock, _, samples, _ = with_samples
    dock.recipe.recipe.choose("own")
    dock.segment.click()
    assert "Name the function to segment with" in errors[-1]
    path = tmp_path / "mine.py"
    path.write_text("def cells(image):\n    return image > 130\n")
    dock.recipe.function.setText(f"{path}:cell")
    dock.segment.click()
    until_free()
    assert "has no cell; it has cells" in errors[-1]
    dock.recipe.function.setText(f"{path}:cells")
    dock.segment.click()
    until_free()
    large = by_product(viewer, "segmented").data[:, 0] > 0
    assert (samples[large] > 130).all() and large.mean() > 0.1


def test_without_a_model_or_a_layer(segment_dock, viewer, errors, noisy):
    viewer.add_image(noisy, name="noisy")
    segment_dock.segment.click()
    assert "Choose a model" in errors[-1]
    segment_dock.origin.choose("layer")
    segment_dock.segment.click()
    assert "Choose a layer of samples" in errors[-1]


def test_stop_keeps_what_is_segmented(with_samples, viewer, session, until_free, monkeypatch):
    dock, _, samples, _ = with_samples
    real = api.segment_samples

    def stopped(*args, stop, **kwargs):
        for event in real(*args, stop=stop, **kwargs):
            yield event
            if isinstance(event, api.SegmentationProgress) and "sample 1 of" in event.doing:
                stop.request()

    monkeypatch.setattr(api, "segment_samples", stopped)
    dock.segment.click()
    until_free()
    *_, two = real(samples[:2], SegmentationConfig(recipe="bright", least_px=30))
    np.testing.assert_array_equal(by_product(viewer, "consensus").data[0], two.consensus.labels)
    assert dock.progress.line.text().startswith("Stopped: ")
    names = {product: by_product(viewer, product).name for product in ("consensus", "confidence")}
    for product, name in names.items():
        assert name == f"cells [HDN samples] [HDN {product} of 2 of 4 samples]"
    each = by_product(viewer, "segmented").name
    assert each == "cells [HDN samples] [HDN segmented 2 of 4 samples]"
    assert "of 2 of 4 samples" in dock.notices.toPlainText()


def test_a_second_dock_shows_the_same(with_samples, viewer, session, until_free, qtbot):
    from napari_hdn.ui.segment import SegmentDock

    dock, _, _, _ = with_samples
    dock.segment.click()
    until_free()
    again = SegmentDock(viewer.__wrapped__)
    qtbot.addWidget(again)
    assert again.objects.table.rowCount() == dock.objects.table.rowCount() > 0
    assert again.progress.line.text() == dock.progress.line.text()
    dock.segment.click()
    until_free()
    assert len([x for x in viewer.layers if "consensus" in x.name]) == 2  # nothing is overwritten


def test_samples_that_restore_draws_when_they_are_read(
    with_model, viewer, session, until_free, model, striped
):
    from napari_hdn.ui.samples import add_samples
    from napari_hdn.ui.sources import LayerSource

    source = LayerSource.of(viewer.layers["striped"].__wrapped__, "TYX", None)
    config = api.RestorationConfig(outputs=("samples",), samples=3, device="cpu")
    layer = add_samples(viewer.__wrapped__, source, model, config, {"product": "samples"})
    with_model.origin.choose("layer")
    with_model.layer.choose(layer)
    viewer.dims.set_current_step(1, 1)
    with_model.segment.click()
    until_free()
    drawn = model.restore(striped, "TYX", outputs=("samples",), samples=3, device="cpu").samples
    *_, expected = api.segment_samples(drawn[:, 1], SegmentationConfig())
    found = session.last["segmentation"].result
    np.testing.assert_array_equal(found.result.samples, expected.samples)
    assert np.isfinite(drawn).all() and found.index == (1,)
