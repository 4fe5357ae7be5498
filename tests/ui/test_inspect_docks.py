"""The Inspect dock beside others, opened again, and what follows a job."""

import pytest

from inspecting import settled
from napari_hdn.ui import retraining as retraining_module
from napari_hdn.ui.inspect import InspectDock


@pytest.fixture
def another_dock(viewer, qtbot):
    """A second dock of the kind, as after closing and opening; napari itself keeps to one."""

    def make():
        dock = InspectDock(viewer)
        qtbot.addWidget(dock)
        return dock

    return make


def test_a_dock_opened_again_drops_no_job(
    inspect_dock, viewer, session, another_dock, striped, held_inspection, until_free
):
    dock, first = inspect_dock, inspect_dock.piece.image.layer
    viewer.add_image(striped + 1, name="second")  # the active one from now on
    assert dock.piece.image.layer is first
    dock.inspect.click()
    job = session.job
    again = another_dock()
    assert again.piece.image.layer is first
    assert session.job is job and not job.stop.requested
    again.piece.image.choose(viewer.layers["second"])
    assert job.stop.requested  # the user chose another image in a dock that showed this one
    held_inspection.set()
    until_free()
    assert session.inspected is None


def test_another_docks_choice_leaves_the_job_alone(
    inspect_dock, viewer, session, another_dock, striped, held_inspection, until_free
):
    first = inspect_dock.piece.image.layer
    viewer.add_image(striped + 1, name="second")
    viewer.add_image(striped + 2, name="third")
    other = another_dock()
    other.piece.image.choose(viewer.layers["second"])
    inspect_dock.inspect.click()
    other.piece.image.choose(viewer.layers["third"])
    assert not session.job.stop.requested
    held_inspection.set()
    until_free()
    assert session.inspected.piece.source.layer is first
    assert "You chose third: press Inspect" in other.looked_at.text() and other.looked_at.warns
    assert "You chose" not in inspect_dock.looked_at.text()


def test_what_is_compared_is_what_is_shown(inspected, viewer, session, striped, errors):
    viewer.add_image(striped + 1, name="second")
    inspected.piece.image.choose(viewer.layers["second"])
    inspected.variants.compare.click()
    assert session.job is None
    assert "press Inspect first to compare on second" in errors[-1]


def test_a_follow_up_that_fails_frees_the_viewer(
    inspected, session, until_free, errors, monkeypatch, qtbot
):
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    inspected.retraining.duration.setValue(2)

    def fails(*_, **__):
        raise PermissionError(13, "Permission denied", "models")

    monkeypatch.setattr(retraining_module, "InspectionJob", fails)
    inspected.retraining.retrain.click()
    until_free()
    assert "What was to follow could not be begun" in errors[-1]
    monkeypatch.undo()
    inspected.inspect.click()  # not "one job at a time"
    until_free()
    assert session.inspected.model.config.network.deactivated_levels == (1,)


def test_stop_ends_what_was_to_follow(
    inspected, session, until_free, monkeypatch, qtbot, held_inspection
):
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    inspected.retraining.duration.setValue(2)
    began = []
    start = type(session).start
    monkeypatch.setattr(
        type(session), "start", lambda self, job: (began.append(job.kind), start(self, job))[1]
    )
    inspected.retraining.retrain.click()
    qtbot.waitUntil(lambda: began == ["training", "inspection"])
    session.stop()
    until_free()
    qtbot.wait(50)
    assert began == ["training", "inspection"] and session.job is None


def test_what_is_selected_is_a_variant_and_not_a_row(inspected, session, qtbot):
    table, variants = inspected.variants.table, inspected.variants
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    assert table.rowCount() == 2
    table.selectRow(1)  # only switched
    assert variants.use.isEnabled()
    inspected.rows.rows[1].switch.click()  # its row goes
    settled(session, qtbot, ())
    assert table.rowCount() == 1 and not variants.use.isEnabled()
    table.selectRow(0)
    inspected.rows.rows[1].switch.click()
    settled(session, qtbot, (1,))
    assert table.currentRow() == 0 and variants.use.isEnabled()


def test_a_duration_that_the_user_set_stays(inspected, session, qtbot):
    settings = inspected.retraining
    inspected.rows.rows[1].switch.click()
    settings.duration.setValue(1234)
    inspected.rows.rows[2].switch.click()
    assert settings.duration.value() == 1234
    settings.begin.choose(True)  # another way, another time
    assert settings.duration.value() != 1234
