"""The page *napari-hdn* of napari's Preferences, and the settings that the command reads.

Both hold the same: what was written last is taken over by the other one. napari before 0.9 has no such
page; there the file of settings is edited by hand.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_hdn import api
from napari_hdn.api import Settings
from napari_hdn.core.errors import HDNError

PLUGIN = "napari-hdn"
AUTOMATIC = "automatic"  # among sizes of tiles
_SETTLED_MS = 700  # a folder is typed letter by letter

_log = logging.getLogger(__name__)


class Preferences:
    """The settings in force in this napari; the same for all its windows."""

    changed = Signal()

    def __init__(self) -> None:
        self._page: Any = None
        self._settled: QTimer | None = None

    def follow(self) -> None:
        """Take over what is set, and from now on what the user changes; safe to call often."""
        page = _page()
        if page is not None and page is self._page:
            return
        self._page = page
        if page is None:
            self._use(*api.load_settings())
            return
        if _written_last(page):
            self._take_over()
        else:
            settings, remark = api.load_settings()
            show_on_page(page, settings)
            self._use(settings, remark)
        page.events.changed.connect(self._on_page)

    def _on_page(self, event: Any = None) -> None:
        if self._settled is None:
            self._settled = QTimer()
            self._settled.setSingleShot(True)
            self._settled.timeout.connect(self._take_over)
        self._settled.start(_SETTLED_MS)

    def _take_over(self) -> None:
        """Use what the page shows, and write it down for the command."""
        settings, complaints = from_page(self._page)
        if settings != api.load_settings()[0]:
            try:
                api.save_settings(settings)
            except HDNError as error:
                _tell(f"{error} The command napari-hdn does not see them.")
        left_out = f"Left out of the settings of napari-hdn: {'; '.join(complaints)}."
        self._use(settings, left_out if complaints else "")

    def _use(self, settings: Settings, remark: str) -> None:
        if remark:
            _tell(remark)
        before = api.settings_in_force()
        api.use_settings(settings)
        if settings != before:
            self.changed.emit()


preferences = Preferences()


def _tell(remark: str) -> None:
    _log.warning("%s", remark)
    show_warning(remark)


def _page() -> Any:
    """What napari keeps of our page, or None where this napari has none."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before 0.9
        return None
    try:
        return get_plugin_settings(PLUGIN)
    except Exception as error:  # whatever ails napari's settings, the docks work
        _log.warning("napari's Preferences of napari-hdn cannot be read: %r", error)
        return None


def _written_last(page: Any) -> bool:
    """Whether napari's file of the page is newer than ours, or ours is not there."""

    def written(path: Path | None) -> float:
        try:
            return -1.0 if not path else Path(path).stat().st_mtime
        except OSError:
            return -1.0

    return written(page.config_path) >= written(api.settings_path())


def from_page(page: Any) -> tuple[Settings, list[str]]:
    """Settings as the page shows them, and what of it cannot be used.

    On the page 0, ``automatic`` and an empty text leave the choice to the program.
    """
    computing, folder = page.computing, page.models.folder.strip()
    tile = computing.tile_size
    shown = {
        "device": computing.device,
        "threads": computing.threads or None,
        "tile_px": None if tile == AUTOMATIC else int(tile),
        "memory_limit_gb": computing.memory_limit_gb or None,
        "models_folder": folder or None,
    }
    return api.settings_as_read(shown)


def show_on_page(page: Any, settings: Settings) -> None:
    """Show settings on the page, as near as it can; napari keeps them then."""
    tile, folder = settings.tile_px, settings.models_folder
    for part, name, value in (
        (page.computing, "device", settings.device),
        (page.computing, "threads", settings.threads or 0),
        (page.computing, "tile_size", AUTOMATIC if tile is None else str(tile)),
        (page.computing, "memory_limit_gb", settings.memory_limit_gb or 0.0),
        (page.models, "folder", "" if folder is None else str(folder)),
    ):
        try:
            setattr(part, name, value)
        except ValueError:  # written by hand, and not among the choices of the page
            _log.warning("The page napari-hdn of Preferences cannot show %s = %s.", name, value)
