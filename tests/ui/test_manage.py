"""The dock Manage models, clicked through as a user does."""

import shutil
import zipfile
from pathlib import Path

import pytest
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtWidgets import QApplication, QDialog, QMessageBox

from napari_hdn import api
from napari_hdn.core.errors import OutputError
from napari_hdn.ui import model_care
from napari_hdn.ui.parts.models.export_form import ExportForm
from sharing import contents, save_tiny


@pytest.fixture
def library(tmp_path):
    """Three models, one of them damaged."""
    cells = save_tiny(api.models_folder() / "cells")
    shutil.copytree(cells, api.models_folder() / "nuclei")
    (api.models_folder() / "broken").mkdir()
    (api.models_folder() / "broken" / "config.json").write_text("{")
    return api.models_folder()


@pytest.fixture
def manage(library, open_dock, qtbot):
    dock = open_dock("Manage models")
    qtbot.waitUntil(lambda: dock.models.table.rowCount() == 3)
    return dock


def choose(dock, *names):
    table = dock.models.table
    table.clearSelection()
    for row in range(table.rowCount()):
        if table.item(row, 0).text() in names:
            flags = QItemSelectionModel.SelectionFlag
            index = table.model().index(row, 0)
            table.selectionModel().select(index, flags.Select | flags.Rows)


def texts(dock, name):
    table = dock.models.table
    row = table.findItems(name, Qt.MatchFlag.MatchExactly)[0].row()
    return [table.item(row, column).text() for column in range(table.columnCount())]


@pytest.fixture
def say_yes(monkeypatch):
    asked = []

    def question(parent, title, text, *_):
        asked.append(text)
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


@pytest.fixture
def bin_of_ours(monkeypatch, tmp_path):
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setattr("send2trash.send2trash", lambda path: shutil.move(path, place))
    return place


def test_what_is_listed(manage, qtbot):
    name, _, steps, levels, noise, data, size = texts(manage, "cells")
    assert (name, steps, levels, noise) == ("cells", "6", "2", "Poisson-Gaussian")
    assert data == "cells TYX 4 x 64 x 64" and size.endswith("kB")
    assert texts(manage, "broken")[4] == "cannot be read"
    assert (
        "3 models" in manage.models.hint.text() and "1 cannot be read" in manage.models.hint.text()
    )
    choose(manage, "broken")
    assert "config.json of model broken is damaged" in manage.models.hint.text()
    assert not manage.export.isEnabled() and not manage.use.isEnabled()
    assert manage.delete.isEnabled()
    manage.models.search.setText("NUC poisson")
    table = manage.models.table
    shown = [table.item(r, 0).text() for r in range(3) if not table.isRowHidden(r)]
    assert shown == ["nuclei"]


def test_hundreds_of_models_are_read_beside_the_window(manage, qtbot, monkeypatch):
    from napari_hdn.ui.jobs import on_main_thread

    real, threads = api.read_record, []
    monkeypatch.setattr(api, "read_record", lambda f: threads.append(on_main_thread()) or real(f))
    for i in range(60):
        shutil.copytree(api.models_folder() / "cells", api.models_folder() / f"m{i}")
    manage.again.click()
    assert manage.models.reading and "Reading models" in manage.models.hint.text()
    qtbot.waitUntil(lambda: manage.models.table.rowCount() == 63)
    assert len(threads) == 60 and not any(threads)  # those known before are not read again


def test_use_and_rename(manage, session, qtbot, monkeypatch):
    choose(manage, "cells")
    manage.use.click()
    qtbot.waitUntil(lambda: session.model is not None)
    assert session.model_folder.name == "cells"
    item = manage.models.table.findItems("cells", Qt.MatchFlag.MatchExactly)[0]
    assert item.font().bold()
    monkeypatch.setattr(
        "napari_hdn.ui.manage.QInputDialog.getText", lambda *a, **k: ("actin", True)
    )
    manage.rename.click()
    qtbot.waitUntil(lambda: [r.name for r in manage.models.records] == ["actin"])
    assert session.model_folder == api.models_folder() / "actin"
    qtbot.waitUntil(lambda: session.model is not None)


def test_a_name_that_is_taken(manage, errors, monkeypatch):
    choose(manage, "cells")
    monkeypatch.setattr(
        "napari_hdn.ui.manage.QInputDialog.getText", lambda *a, **k: ("nuclei", True)
    )
    manage.rename.click()
    assert "'nuclei' exists already" in errors.pop()
    assert (api.models_folder() / "cells").is_dir()


def test_deleting_goes_to_the_bin(manage, session, say_yes, bin_of_ours, qtbot):
    before = contents(api.models_folder() / "cells")
    session.choose_model(api.models_folder() / "cells")
    qtbot.waitUntil(lambda: session.model is not None)
    choose(manage, "cells", "broken")
    manage.delete.click()
    assert "cells is in hand" in say_yes[0] and "1 direct network" in say_yes[0]
    assert "written in the last minutes" in say_yes[0]
    assert contents(bin_of_ours / "cells") == before and (bin_of_ours / "broken").is_dir()
    assert session.model is None and session.model_folder is None
    qtbot.waitUntil(lambda: manage.models.table.rowCount() == 1)


def test_nothing_is_deleted_without_asking_or_without_a_bin(manage, errors, say_yes, monkeypatch):
    def refuse(folder):
        raise OutputError(f"{folder.name} was not deleted: there is no bin.")

    choose(manage, "cells")
    monkeypatch.setattr(api, "bin_model", refuse)
    manage.delete.click()
    assert "there is no bin" in errors.pop()
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    monkeypatch.setattr(api, "bin_model", lambda folder: pytest.fail("deleted"))
    manage.delete.click()
    assert (api.models_folder() / "cells").is_dir()


def test_a_model_in_training_stays(
    manage, viewer, session, train_dock, held_training, noisy, errors, say_yes, until_free, qtbot
):
    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.calls) == 1)
    folder = session.job.folder
    with pytest.raises(api.HDNError, match="in use: training"):
        model_care.move_to_bin(folder)
    with pytest.raises(api.HDNError, match="in use: training"):
        model_care.rename(folder, "x")
    session.model_folder = api.models_folder() / "cells"  # in hand where the training runs
    choose(manage, "cells")
    manage.delete.click()
    assert "cells is in hand where training" in errors.pop() and not say_yes
    held_training.go_on.set()
    until_free()


def test_notes_are_saved_with_the_model(manage, qtbot):
    choose(manage, "cells")
    manage.notes.text.setPlainText("Actin, 100x")
    choose(manage, "nuclei")  # without waiting
    assert api.read_notes(api.models_folder() / "cells") == "Actin, 100x"
    assert manage.notes.text.toPlainText() == "Für Ada: 20 °C\n"
    manage.notes.text.appendPlainText("more")
    qtbot.waitUntil(lambda: "more" in api.read_notes(api.models_folder() / "nuclei"))
    assert "Saved with nuclei" in manage.notes.hint.text()
    choose(manage, "cells", "nuclei")
    assert manage.notes.text.isReadOnly() and not manage.notes.text.toPlainText()


def test_notes_that_cannot_be_saved_stay_in_sight(manage, errors):
    choose(manage, "cells")
    (api.models_folder() / "cells" / "notes.txt").write_text("theirs")
    manage.notes.text.setPlainText("mine")
    manage.notes.save()
    assert "changed in another window" in errors.pop()
    assert manage.notes.text.toPlainText() == "mine"


def test_the_methods_text_of_a_selected_model(manage, session, errors):
    choose(manage, "cells", "nuclei")
    assert not manage.methods.isEnabled()
    choose(manage, "nuclei")
    manage.methods.click()
    told = QApplication.clipboard().text()
    assert "was minimised for 6 steps" in told and "Prakash et al., 2022" in told
    assert session.model is None  # nothing was taken in hand for it
    (api.models_folder() / "nuclei" / "recipe.json").write_text("{")
    manage.methods.click()
    assert "nuclei/recipe.json is damaged" in errors.pop()
    assert QApplication.clipboard().text() == told


def test_models_side_by_side(manage, qtbot):
    config = api.models_folder() / "nuclei" / "config.json"
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 7'))
    manage.again.click()
    qtbot.waitUntil(lambda: not manage.models.reading)
    choose(manage, "cells")
    assert not manage.compare.isEnabled()
    choose(manage, "cells", "nuclei")
    manage.compare.click()
    window = manage.comparison
    assert window.only.isChecked()
    table = window.table
    shown = [r for r in range(table.rowCount()) if not table.isRowHidden(r)]
    assert [table.item(r, 0).text() for r in shown] == ["seed"]
    assert sorted(table.item(shown[0], c).text() for c in (1, 2)) == ["0", "7"]
    assert table.item(shown[0], 2).font().bold() and not table.item(shown[0], 1).font().bold()
    window.copy.click()
    assert QApplication.clipboard().text().splitlines()[1].startswith("seed\t")
    window.only.setChecked(False)
    assert not any(table.isRowHidden(r) for r in range(table.rowCount()))
    window.close()


def test_export_and_import(manage, session, qtbot, until_free, monkeypatch, tmp_path):
    target = tmp_path / "sent"
    monkeypatch.setattr(ExportForm, "exec", lambda self: QDialog.DialogCode.Accepted)
    dialogs = "napari_hdn.ui.manage.QFileDialog"
    monkeypatch.setattr(f"{dialogs}.getSaveFileName", lambda *_: (str(target), ""))
    choose(manage, "cells")
    manage.export.click()
    until_free()
    written = tmp_path / "sent.zip"
    assert f"Exported to {written}" in manage.progress.line.text()
    assert "resume.ckpt" in manage.notices.toPlainText()
    monkeypatch.setattr(f"{dialogs}.getOpenFileName", lambda *_: (str(written), ""))
    manage.take_in.click()
    until_free()
    assert "Imported as cells-2" in manage.progress.line.text()
    qtbot.waitUntil(lambda: [r.name for r in manage.models.records] == ["cells-2"])
    assert api.load_model(api.models_folder() / "cells-2").summary.steps == 6


def test_importing_what_does_harm(manage, errors, until_free, monkeypatch, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as out:
        out.writestr("../evil", b"")
    chosen = (str(tmp_path / "bad.zip"), "")
    monkeypatch.setattr("napari_hdn.ui.manage.QFileDialog.getOpenFileName", lambda *_: chosen)
    manage.take_in.click()
    until_free()
    assert "outside the model's folder" in errors.pop()
    assert "outside the model's folder" in manage.progress.line.text()
    assert sorted(p.name for p in api.models_folder().iterdir()) == ["broken", "cells", "nuclei"]


def test_what_is_asked_for_the_zoo(manage, qtbot):
    choose(manage, "cells")
    form = ExportForm(manage.models.records[0])
    qtbot.addWidget(form)
    form.with_training.setChecked(True)
    assert form.training_state
    form.format.choose("bioimageio")
    assert not form.training_state
    form._on_accepted()
    assert "who made the model" in form.complaint.text() and form.result() == 0
    form.authors.setText("Ada Lovelace; Grace Hopper")
    form.tags.setText("confocal, nuclei")
    form.off[0].setChecked(True)
    form._on_accepted()
    assert form.result() == QDialog.DialogCode.Accepted
    assert form.zoo == api.ZooDetails(
        authors=("Ada Lovelace", "Grace Hopper"),
        tags=("confocal", "nuclei"),
        deactivated_levels=(1,),
    )


def test_the_folder_is_opened(manage, errors, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "napari_hdn.ui.manage.QDesktopServices.openUrl",
        lambda url: opened.append(Path(url.toLocalFile())) or len(opened) == 1,
    )
    choose(manage, "cells")
    manage.open.click()
    choose(manage)
    manage.open.click()
    assert opened == [api.models_folder() / "cells", api.models_folder()]
    assert str(api.models_folder()) in errors.pop()
