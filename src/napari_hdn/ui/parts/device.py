"""Where to compute, with what ``auto`` means on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_hdn import api
from napari_hdn.ui import jobs
from napari_hdn.ui.parts.forms import Choice, watch
from napari_hdn.ui.preferences import preferences

if TYPE_CHECKING:
    from napari_hdn.core.devices import Device

_AFTER_MS = 300  # let the dock be drawn first: importing torch slows everything for a second


_known: list[Device] = []  # looked for once; they do not come and go


class DeviceChoice(Choice):
    """Filled on a background thread, since looking for devices imports torch."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__([("auto (looking ...)", "auto")])
        if _known:
            self._show(_known)
        else:
            self._timer = QTimer(self)
            self._timer.setSingleShot(True)
            self._timer.timeout.connect(self._look)
            self._timer.start(_AFTER_MS)
        watch(self, preferences.changed, self._on_preferences)

    def _look(self) -> None:
        jobs.look_up(api.available_devices, self._on_found, self._on_error, owner=self)

    def _on_preferences(self) -> None:
        """Another device may be what ``auto`` takes now."""
        if _known:
            self._look()

    def _on_found(self, devices: list[Device]) -> None:
        _known[:] = devices
        self._show(devices)

    def _on_error(self, text: str) -> None:
        self.setItemText(0, "auto")
        self.setToolTip(text)

    def _show(self, devices: list[Device]) -> None:
        chosen = self.value()
        self.clear()
        self.addItem(f"auto: {devices[0].label}", "auto")
        for device in devices:
            self.addItem(device.label, device.name)
        self.choose(chosen)
        self.setToolTip(f"auto takes {devices[0].label}")
