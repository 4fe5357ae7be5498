"""What is told when Qt deletes a widget, even one that Python throws away as a cycle."""

import gc

from qtpy.QtWidgets import QLabel, QWidget

from napari_hdn.ui.deletion import on_deleted


def test_told_once_when_qt_deletes_it(qtbot):
    told = []
    widget = QWidget()
    on_deleted(widget, lambda: told.append("gone"))
    widget.deleteLater()
    qtbot.waitUntil(lambda: told == ["gone"])


def test_told_when_the_garbage_collector_does(qtbot):
    told = []
    for i in range(200):
        widget = QWidget()
        widget.child = QLabel(widget)
        widget.child.of = widget  # a cycle, as docks and their parts are
        on_deleted(widget.child, lambda i=i: told.append(i))
    del widget
    gc.collect()
    # what another thread collected meanwhile is told by the event loop
    qtbot.waitUntil(lambda: sorted(told) == list(range(200)))
