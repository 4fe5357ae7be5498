"""What is told when Qt deletes a widget, even one that Python throws away as a cycle."""

import gc

import pytest
from qtpy.QtWidgets import QLabel, QWidget

from napari_hdn.ui.deletion import on_deleted


def test_told_once_when_qt_deletes_it(qtbot):
    told = []
    widget = QWidget()
    on_deleted(widget, lambda: told.append("gone"))
    widget.deleteLater()
    qtbot.waitUntil(lambda: told == ["gone"])


@pytest.fixture
def by_hand():
    """Nothing is collected but by the test, not even by another thread's work."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("between", ["nothing", "widget", "label"])
def test_told_when_the_garbage_collector_does(qtbot, by_hand, between):
    told = []
    for i in range(200):
        widget = QWidget()
        if between == "widget":  # the collector empties the younger label first
            gc.collect(0)
        widget.child = QLabel(widget)
        if between == "label":
            gc.collect(0)
        widget.child.of = widget  # a cycle, as docks and their parts are
        on_deleted(widget.child, lambda i=i: told.append(i))
    del widget
    gc.collect()
    assert sorted(told) == list(range(200))
