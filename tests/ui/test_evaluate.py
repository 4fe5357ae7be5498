"""The dock Evaluate, driven as a user drives it."""

import dask.array as da
import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_hdn import api
from napari_hdn.api import ImageStack
from napari_hdn.ui.evaluate import EvaluateDock


@pytest.fixture
def evaluate_dock(viewer, open_dock):
    """The dock, a truth, a noisy and a restored layer, and a second frame."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(50, 90, (3, 40, 48)).astype(np.float32)
    images = {
        "truth": truth,
        "raw": truth + rng.normal(0, 9, truth.shape),
        "restored": truth + rng.normal(0, 3, truth.shape),
        "second": truth + rng.normal(0, 9, truth.shape),
    }
    for name, image in images.items():
        viewer.add_image(image.astype(np.float32), name=name)
    return open_dock("Evaluate")


def ticked(dock, viewer, *names):
    for name in names:
        dock.ticks.tick(viewer.layers[name])


def clipboard():
    return [line.split("\t") for line in QApplication.clipboard().text().splitlines()]


def test_against_a_truth(evaluate_dock, viewer, until_free):
    dock = evaluate_dock
    ticked(dock, viewer, "raw", "restored")
    dock.reference.choose(viewer.layers["truth"])
    dock.evaluate.click()
    until_free()
    stacks = [ImageStack(viewer.layers[n].data, "TYX", n) for n in ("raw", "restored")]
    *_, expected = api.evaluate(stacks, ImageStack(viewer.layers["truth"].data, "TYX", "truth"))
    assert dock.results.table.rowCount() == 2
    assert dock.results.table.item(1, 2).text() == f"{expected.rows[1].values[0]:.4g}"
    dock.results.copy.click()
    header, *rows = clipboard()
    assert header == ["image", "planes", *expected.columns]
    for row, evaluated in zip(rows, expected.rows, strict=True):
        assert row[:2] == [evaluated.name, "3"]
        np.testing.assert_allclose([float(v) for v in row[2:]], evaluated.values, rtol=1e-5)
    assert "by least squares" in dock.note.text()


@pytest.mark.parametrize(("choice", "counts"), [("255", 255.0), ("own", 4095.0)])
def test_the_range_that_is_chosen_is_stated(evaluate_dock, viewer, until_free, choice, counts):
    dock = evaluate_dock
    ticked(dock, viewer, "raw")
    dock.reference.choose(viewer.layers["truth"])
    dock.span.choose(choice)
    dock.counts.setValue(4095)
    assert dock.counts.isVisible() == (choice == "own")
    dock.evaluate.click()
    until_free()
    dock.results.copy.click()
    header, row = clipboard()
    assert header[2] == f"PSNR (dB, range {counts:g})"
    mse = np.mean(
        (viewer.layers["raw"].data.astype(float) - viewer.layers["truth"].data) ** 2, (1, 2)
    )
    expected = np.mean(20 * np.log10(counts) - 10 * np.log10(mse))
    assert float(row[2]) == pytest.approx(expected, rel=1e-5)


def test_against_a_second_frame(evaluate_dock, viewer, session, until_free, errors, trained, qtbot):
    dock = evaluate_dock
    assert not dock.models.isVisible()
    dock.against.choose("second")
    assert dock.models.isVisible()
    ticked(dock, viewer, "restored", "second")
    dock.reference.choose(viewer.layers["second"])
    dock.evaluate.click()
    assert "Choose a model" in errors[-1]
    session.choose_model(trained)
    qtbot.waitUntil(lambda: session.model is not None)
    dock.evaluate.click()
    until_free()
    stacks = [ImageStack(viewer.layers[n].data, "TYX", n) for n in ("restored", "second")]
    *_, expected = api.evaluate_second_frame(session.model, stacks, stacks[1])
    dock.results.copy.click()
    header, row, _ = clipboard()
    assert header[2:] == list(expected.columns)
    assert float(row[2]) == pytest.approx(expected.rows[0].values[0], rel=1e-5)
    assert "identical" in dock.notices.toPlainText()


def test_what_is_missing_is_said(evaluate_dock, viewer, errors, until_free):
    dock = evaluate_dock
    dock.evaluate.click()
    assert "Tick at least one layer" in errors[-1]
    ticked(dock, viewer, "raw")
    dock.evaluate.click()
    assert "Choose the layer that holds the truth" in errors[-1]
    dock.reference.choose(viewer.layers["raw"])
    dock.evaluate.click()
    assert "raw is ticked and is the truth, too" in errors[-1]
    viewer.add_image(np.full((3, 40, 48), 7.0), name="flat")
    viewer.add_image(np.zeros((3, 40, 50)), name="wide")
    for name, says in (("flat", "All pixels of flat, T 0 are 7"), ("wide", "T 3 x Y 40 x X 50")):
        dock.reference.choose(viewer.layers[name])
        dock.evaluate.click()
        until_free()
        assert says in errors[-1]
        assert not dock.results.isVisible()


def test_stop_and_lazy_layers(evaluate_dock, viewer, session, until_free):
    dock = evaluate_dock
    read = []

    def block(x):
        if session.job is None:  # napari looks, too
            return x
        read.append(x.shape)
        if len(read) == 2:
            session.job.stop.request()
        return x

    data = viewer.layers["restored"].data
    lazy = da.from_array(data, chunks=(1, 40, 48)).map_blocks(block, meta=data[:0])
    layer = viewer.add_image(lazy, name="lazy", contrast_limits=(0, 100))
    layer.visible = False
    dock.ticks.tick(layer)
    dock.reference.choose(viewer.layers["truth"])
    dock.evaluate.click()
    until_free()
    assert set(read) == {(1, 40, 48)}
    assert dock.progress.line.text() == "Stopped: 2 of 3 planes are compared."
    dock.results.copy.click()
    assert clipboard()[1][1] == "2"


def test_a_plane_of_zeros_is_left_out(evaluate_dock, viewer, until_free):
    dock = evaluate_dock
    viewer.layers["restored"].data[2] = 0
    ticked(dock, viewer, "raw", "restored")
    dock.reference.choose(viewer.layers["truth"])
    dock.evaluate.click()
    until_free()
    assert dock.progress.line.text() == "Compared 5 planes. Left out: 1."
    table = dock.results.table
    heads = [table.horizontalHeaderItem(k).text() for k in range(table.columnCount())]
    assert heads[-1] == "left out"
    dock.results.copy.click()
    assert sorted((row[1], row[-1]) for row in clipboard()[1:]) == [("2", "1"), ("3", "0")]


def test_ticks_follow_the_layers(evaluate_dock, viewer):
    dock = evaluate_dock
    ticked(dock, viewer, "raw", "restored")
    viewer.layers["raw"].name = "noisy"
    viewer.add_labels(np.zeros((40, 48), int), name="objects")
    viewer.layers.remove("restored")
    names = [dock.ticks.item(k).text() for k in range(dock.ticks.count())]
    assert names == ["truth", "noisy", "second"]
    assert [layer.name for layer in dock.ticks.layers] == ["noisy"]


def test_a_dock_opened_later_shows_the_table(evaluate_dock, viewer, until_free, qtbot):
    ticked(evaluate_dock, viewer, "raw")
    evaluate_dock.reference.choose(viewer.layers["truth"])
    evaluate_dock.evaluate.click()
    until_free()
    again = EvaluateDock(viewer.__wrapped__)
    qtbot.addWidget(again)
    assert again.results.table.rowCount() == 1


def test_numbers_stay_where_the_next_evaluation_is_refused(
    evaluate_dock, viewer, session, until_free
):
    dock = evaluate_dock
    ticked(dock, viewer, "restored")
    dock.reference.choose(viewer.layers["truth"])
    dock.evaluate.click()
    until_free()
    first = session.results["evaluation"]
    dock.reference.choose(viewer.add_image(np.zeros((3, 5, 6), np.float32), name="small"))
    dock.evaluate.click()
    until_free()
    assert session.last["evaluation"].failed and session.results["evaluation"] is first
    assert not dock.results.isHidden() and dock.results.table.rowCount() == 1
