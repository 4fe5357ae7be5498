"""*Copy diagnostics*: what a bug report needs, on the clipboard; only the user can send it."""

from __future__ import annotations

from napari.utils.notifications import show_error, show_info
from qtpy import API_NAME, QT_VERSION
from qtpy.QtGui import QGuiApplication

from napari_hdn import api
from napari_hdn.ui import jobs


def copy_diagnostics() -> None:
    """Put the diagnostics on the clipboard, and say so; they are gathered in the background."""
    screen = QGuiApplication.primaryScreen()
    size = screen.size() if screen is not None else None
    window = {
        "Qt": f"{API_NAME}, Qt {QT_VERSION}, {QGuiApplication.platformName()}",
        "Screen": "none" if size is None else f"{size.width()} x {size.height()}",
    }
    jobs.look_up(lambda: api.diagnostics(window), _copy, show_error)


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)
    show_info(
        f"Diagnostics of napari-hdn are copied ({len(text.splitlines())} lines): paste them into your "
        "report, and read them first. They hold names of files and layers, but no pixels."
    )
