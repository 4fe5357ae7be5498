"""Retraining without levels in the Inspect dock, and the variants that come of it."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from inspecting import by_product, settled
from napari_hdn import api
from napari_hdn.ui.inspection import moved_up
from napari_hdn.ui.layers import product_of

STEPS = 6


@pytest.fixture
def switched(inspected, session, qtbot):
    """Level 1 is off, and a short retraining is set."""
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    inspected.retraining.duration.setValue(STEPS)
    return inspected


def table_of(dock):
    table = dock.variants.table
    return [
        [table.item(i, k).text() for k in range(table.columnCount())]
        for i in range(table.rowCount())
    ]


def test_what_is_usual_is_offered_and_said(inspected, session, model):
    settings = inspected.retraining
    assert not settings.retrain.isEnabled()
    assert "Switch off" in settings.what.text()
    inspected.rows.rows[1].switch.click()
    assert settings.retrain.isEnabled()
    assert settings.name.text() == "lines HDN2-3"
    assert settings.duration.value() == api.variant_config(model, (1,)).steps
    assert settings.data.text().startswith("lines learned from the same: striped TYX")
    config = settings.config("cpu")
    assert config == api.variant_config(model, (1,), device="cpu")
    settings.begin.choose(True)
    assert settings.duration.value() == 20  # as many as the model took
    assert settings.config("cpu") == api.variant_config(model, (1,), scratch=True, device="cpu")
    settings.rule.choose("posterior")
    assert settings.config("cpu").network.deactivation == "posterior"


def test_other_images_are_told_of(inspected, viewer, striped):
    viewer.add_image(striped[:, :64], name="other")
    inspected.rows.rows[1].switch.click()
    inspected.retraining.take_images(viewer.layers["other"])
    assert inspected.retraining.data.warns
    assert "learned from other images: striped" in inspected.retraining.data.text()


def test_from_a_flip_to_an_exported_file(
    switched, session, viewer, open_dock, until_free, qtbot, monkeypatch, tmp_path, striped
):
    """Retrain, look again, compare, choose, restore, export, read the record."""
    dock = switched
    train_dock = open_dock("Train HDN")
    dock.retraining.retrain.click()
    assert session.job.kind == "training"
    assert not train_dock.train.isEnabled()
    until_free()
    variant = session.model
    assert variant.name == "lines HDN2-3"
    assert variant.config.network.deactivated_levels == (1,)
    assert variant.summary.origin.parent == "lines"
    assert variant.summary.steps == STEPS
    # looked at again, by itself
    assert session.inspected.model is variant
    assert "moved up" in dock.looked_at.text()
    assert dock.rows.rows[1].words.text() == "The model was trained without this level."
    assert not dock.rows.rows[1].switch.isEnabled()
    assert "trained without" in dock.rows.rows[1].switch.toolTip()
    # compared, by itself
    *_, last = api.inspect_levels(variant, striped[1], device="cpu")
    *_, parents = api.inspect_levels(api.load_model(variant.folder.parent / "lines"), striped[1])
    difference = parents.inspection.decomposition.image - last.inspection.decomposition.image
    left = api.artefact_by_level(last.inspection)[1:].sum() ** 0.5
    rows = table_of(dock)
    assert [r[:2] for r in rows] == [["lines", "none"], ["lines HDN2-3", "1"]]
    loss = api.read_variant(variant.folder).loss
    assert rows[1][2:4] == [f"{loss:.3f}", f"{left:.3g}"]
    assert float(rows[1][4]) == pytest.approx(float(np.sqrt((difference**2).mean())), rel=0.05)
    assert rows[0][4] == "0"
    # back to the first one, with level 1 switched only: one more row to compare
    dock.variants.table.selectRow(0)
    dock.variants.use.click()
    qtbot.waitUntil(lambda: session.model is not None and session.model.name == "lines")
    dock.inspect.click()
    until_free()
    dock.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    dock.variants.compare.click()
    until_free()
    rows = table_of(dock)
    assert [r[0] for r in rows] == ["lines", "↳ only switched", "lines HDN2-3"]
    assert all(float(r[3]) >= 0 for r in rows)
    removed = by_product(viewer, "removed").data
    assert float(rows[1][4]) == pytest.approx(float(np.sqrt((removed**2).mean())), rel=0.05)
    # chosen, restored, exported
    dock.variants.table.selectRow(2)
    dock.variants.use.click()
    qtbot.waitUntil(lambda: session.model is not None and session.model.name == "lines HDN2-3")
    restore = open_dock("Restore images")
    assert restore.levels.switched_off() == (1,)
    restore.restore.click()
    until_free()
    path = tmp_path / "out.ome.tif"
    monkeypatch.setattr(
        "napari_hdn.ui.parts.exporting.QFileDialog.getSaveFileName", lambda *a, **k: (str(path), "")
    )
    restore.exporting.layers.choose(viewer.layers["striped [HDN mean]"])
    restore.exporting.save.click()
    until_free()
    with tifffile.TiffFile(path) as file:
        assert "with model lines HDN2-3, level 1 off" in file.ome_metadata
    # what is shown on the side is not offered to restore or to learn from
    offered = [restore.targets.layers.item(i).text() for i in range(restore.targets.layers.count())]
    assert offered == ["striped"]
    assert {product_of(x) for x in viewer.layers} >= {"before", "without", "removed", "mean"}


def test_stopped_early_the_variant_is_in_hand(switched, session, until_free, qtbot):
    switched.retraining.duration.setValue(100_000)
    switched.retraining.retrain.click()
    qtbot.waitUntil(lambda: session.job.step > 0)
    switched.stop.click()
    until_free()
    assert session.model.name == "lines HDN2-3"
    assert session.inspected.model is session.model


def test_without_levels_off_nothing_is_retrained(inspected, session, errors):
    inspected.retraining.wanted.emit()
    assert "All levels are on" in errors[0]
    assert session.job is None
    assert [f.name for f in api.list_models()] == ["lines"]


def test_the_artefact_that_moved_up_is_told(monkeypatch):
    held = {"before": [9.0, 0.5, 0.1], "now": [0.0, 4.0, 0.1]}
    monkeypatch.setattr(api, "artefact_by_level", lambda look: np.array(held[look.name]))

    def look(name, untrained=()):
        return SimpleNamespace(name=name, decomposition=SimpleNamespace(untrained=untrained))

    moved = moved_up(look("before"), look("now", (1,)))
    assert moved.severity == "warning"
    assert "moved up into level 2" in moved.text
    held["now"] = [0.0, 0.6, 0.1]
    stayed = moved_up(look("before"), look("now", (1,)))
    assert stayed.severity == "info"
    assert "not moved up" in stayed.text
