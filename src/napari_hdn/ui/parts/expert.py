"""The settings that most users leave as the preset has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QSpinBox, QWidget

from napari_hdn.api import TrainingConfig
from napari_hdn.ui.parts.forms import Choice, Form, Hint
from napari_hdn.ui.parts.section import Section


@dataclass(frozen=True)
class Field:
    """One setting: its place in the config, its name, and how it is entered."""

    key: str
    label: str
    widget: Callable[[], QWidget]
    tip: str


def _whole(low: int, high: int, step: int = 1) -> Callable[[], QWidget]:
    def make() -> QWidget:
        box = QSpinBox()
        box.setRange(low, high)
        box.setSingleStep(step)
        return box

    return make


def _real(low: float, high: float, decimals: int, step: float) -> Callable[[], QWidget]:
    def make() -> QWidget:
        box = QDoubleSpinBox()
        box.setDecimals(decimals)
        box.setRange(low, high)
        box.setSingleStep(step)
        return box

    return make


def _one_of(*names: str) -> Callable[[], QWidget]:
    return lambda: Choice([(n, n) for n in names])


FIELDS = (
    Field(
        "network.levels",
        "Levels",
        _whole(1, 8),
        "How many latent levels; level 1 is the finest. More levels see further.",
    ),
    Field(
        "network.blocks",
        "Blocks per level",
        _whole(1, 10),
        "Residual blocks in each level. More are slower and stronger.",
    ),
    Field(
        "network.channels",
        "Channels",
        _whole(4, 256, 4),
        "Width of the network. Twice the channels cost about four times the time.",
    ),
    Field(
        "network.latent_channels",
        "Latent channels",
        _whole(1, 128),
        "How many numbers each level keeps at each place.",
    ),
    Field("batch_size", "Batch size", _whole(1, 512), "Patches in one training step."),
    Field(
        "patch_px",
        "Patch (pixels)",
        _whole(8, 1024, 16),
        "Side of a training patch; a multiple of 2 to the power of the number of levels.",
    ),
    Field(
        "learning_rate", "Learning rate", _real(1e-6, 1.0, 6, 1e-4), "At most, after the warm-up."
    ),
    Field(
        "free_bits_per_pixel",
        "Free bits (nats/pixel)",
        _real(0.0, 1.0, 6, 1e-4),
        "What a level may say at no cost, so that it does not fall silent early on.",
    ),
    Field(
        "precision",
        "Precision",
        _one_of("auto", "float32", "bfloat16"),
        "auto takes bfloat16 where the processor is fast with it.",
    ),
    Field(
        "seed",
        "Seed",
        _whole(0, 2**31 - 1),
        "The same seed, images and settings give the same model on the same machine.",
    ),
    Field("flips", "Mirror patches", QCheckBox, "More data for free; right nearly always."),
    Field(
        "rotations",
        "Rotate patches by 90°",
        QCheckBox,
        "Only if the noise looks the same in all directions.",
    ),
)
_ROTATION_WORD = (
    "Rotate only where the noise has no direction: with lines or stripes (scanning, camera rows) "
    "the network would be taught that they may stand upright, too."
)


class ExpertSettings(Section):
    """All of a preset's numbers, folded away, and what the user changed of them."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Expert settings")
        form = Form()
        self.fields: dict[str, QWidget] = {}
        self._shown: dict[str, Any] = {}
        for field in FIELDS:
            widget = self.fields[field.key] = field.widget()
            widget.setToolTip(field.tip)
            form.add(field.label, widget)
            form.labelForField(widget).setToolTip(field.tip)
            _signal(widget).connect(lambda *_: self.changed.emit())
        self.inside.addLayout(form)
        self.inside.addWidget(Hint(_ROTATION_WORD))

    def show_config(self, config: TrainingConfig) -> None:
        """Show a preset's numbers."""
        for key, widget in self.fields.items():
            value: Any = config
            for part in key.split("."):
                value = getattr(value, part)
            widget.blockSignals(True)
            _write(widget, value)
            widget.blockSignals(False)
            self._shown[key] = _read(widget)
        self.changed.emit()

    def changes(self) -> dict[str, Any]:
        """What differs from the numbers shown first, by key; rounding for display is no change."""
        now = {key: _read(widget) for key, widget in self.fields.items()}
        return {key: value for key, value in now.items() if value != self._shown[key]}


def with_changes(config: TrainingConfig, changes: dict[str, Any]) -> TrainingConfig:
    """A config with other values by dotted key, checked again.

    Raises
    ------
    pydantic.ValidationError
        If the values do not go together.
    """
    data = config.model_dump()
    for key, value in changes.items():
        place = data
        *parents, name = key.split(".")
        for parent in parents:
            place = place[parent]
        place[name] = value
    return TrainingConfig.model_validate(data)


def _signal(widget: QWidget) -> Any:
    if isinstance(widget, QCheckBox):
        return widget.toggled
    return widget.currentIndexChanged if isinstance(widget, Choice) else widget.valueChanged


def _read(widget: QWidget) -> Any:
    if isinstance(widget, QCheckBox):
        return widget.isChecked()
    return widget.value()


def _write(widget: QWidget, value: Any) -> None:
    if isinstance(widget, QCheckBox):
        widget.setChecked(value)
    elif isinstance(widget, Choice):
        widget.choose(value)
    else:
        widget.setValue(value)
