"""A folder of images in the dock: the table, Stop, going on."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

from napari_hdn import api
from napari_hdn.ui.parts.batch import _beside


@pytest.fixture
def folders(dock, noisy, tmp_path, qtbot):
    """Three images, a torn one and a coloured one, chosen in the dock."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in "abc":
        tifffile.imwrite(source / f"{name}.tif", noisy[:2], photometric="minisblack")
    (source / "d.tif").write_bytes((source / "a.tif").read_bytes()[:9000])
    tifffile.imwrite(source / "e.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    dock.targets.kind.choose("folder")
    dock.targets.folder.edit.setText(str(source))
    dock.targets.output.edit.setText(str(target))
    qtbot.waitUntil(lambda: "images" in dock.targets.hint.text())
    return source, target


def table(dock):
    model = dock.batch.model
    cells = range(model.rowCount())
    return {
        model.index(r, 0).data(): (model.index(r, 1).data(), model.index(r, 2).data())
        for r in cells
    }


def test_the_reason_does_not_repeat_the_name_beside_it():
    row = api.BatchRow("a.tif", "failed", "a.tif is torn.")
    assert _beside(row) == "is torn."
    assert _beside(replace(row, reason="a.tif, plane 0, is dark.")) == "plane 0, is dark."
    assert _beside(replace(row, reason="No room.")) == "No room."


def test_a_folder_is_stopped_and_gone_on_with(
    dock, folders, session, until_free, qtbot, monkeypatch
):
    _, target = folders
    assert dock.targets.hint.warns
    assert dock.targets.hint.text().startswith(
        "3 images, 6 planes to restore, axes TYX. 2 more cannot be restored, and will be left out: d.tif"
    )
    assert dock.batch.isVisible() and not dock.batch.table.isVisible()
    real = api.restore

    def held(model, stack, config, *, stop, **more):
        for event in real(model, stack, config, stop=stop, **more):
            yield event
            if stack.name == "b.tif" and isinstance(event, api.PlaneRestored):
                one_is_written.set()
                go_on.wait(60)

    one_is_written, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(api, "restore", held)
    dock.restore.click()
    qtbot.waitUntil(one_is_written.is_set)
    qtbot.waitUntil(lambda: dock.batch.table.isVisible() and session.job.begun == 1)
    assert table(dock)["a.tif"] == ("done", "") and table(dock)["c.tif"] == ("not yet", "")
    assert "b.tif (2 of 5)" in session.job.status
    dock.stop.click()
    go_on.set()
    until_free()
    monkeypatch.undo()
    assert session.last["restoration"].outcome.startswith(
        "Stopped: 1 of 5 images restored, 1 done in part, 3 not yet; 2 files written to"
    )
    assert table(dock)["b.tif"] == ("done in part", "Stopped.")

    dock.batch.dtype.choose("float32")
    dock.restore.click()
    until_free()
    job = session.last["restoration"]
    assert "Done: 3 of 5 images restored (1 of them before), 1 failed, 1 left out" in job.outcome
    assert job.notices[0].text.startswith("1 of 5 images was restored before")
    shown = table(dock)
    assert shown["b.tif"] == ("done", "") and shown["d.tif"][0] == "failed"
    assert shown["d.tif"][1].startswith("is truncated or damaged")
    assert shown["e.tif"][0] == "left out" and shown["e.tif"][1].startswith("is an RGB image")
    assert dock.batch.table.indexAt(dock.batch.table.rect().topLeft()).row() <= 3

    dock.batch.copy.click()
    lines = QApplication.clipboard().text().splitlines()
    assert lines[0].startswith("image\tstatus\treason\t") and len(lines) == 6
    opened = []
    monkeypatch.setattr("napari_hdn.ui.parts.batch.open_folder", opened.append)
    dock.batch.open.click()
    assert opened == [target]
    dock.targets.kind.choose("layers")
    assert not dock.batch.isVisible()


def test_integers_and_how_many_pixels_were_clipped(dock, folders, session, until_free, monkeypatch):
    source, target = folders
    for name in "bcde":
        (source / f"{name}.tif").unlink()
    tifffile.imwrite(source / "a.tif", np.full((40, 48), 40, np.uint8))
    plane = api.PlaneRestored((), {"mean": np.full((40, 48), 300, np.float32)}, slice(0, 40))
    monkeypatch.setattr(api, "restore", lambda *a, **k: iter([plane]))
    dock.batch.dtype.choose("input")
    dock.restore.click()
    until_free()
    assert tifffile.imread(target / "a_hdn-mean.ome.tif").dtype == np.uint8
    job = session.last["restoration"]
    assert "1 of 1 image restored, 1,920 pixels clipped in 1 image" in job.outcome
    assert "1,920 of 1,920 restored pixels (mean)" in table(dock)["a.tif"][1]
