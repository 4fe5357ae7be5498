"""Retraining without the levels that are switched off: on what, how long, and how to begin."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import HDNError, ImageStack, TrainingConfig
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.parts.source import ImageSource
from napari_hdn.ui.session import Session


class Retraining(QWidget):
    """The settings of a variant of the session's model."""

    wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.what = Hint()
        self.source = ImageSource(session)
        self.data = Hint()
        self.begin = Choice([("from this network", False), ("from scratch", True)])
        self.begin.setToolTip(
            "From this network takes a quarter of the time; from scratch forgets what it has learned"
        )
        self.duration = QDoubleSpinBox()
        self.unit = Choice([("steps", "steps"), ("minutes", "minutes")])
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the variant")
        self.expert = Section("For experts")
        self.rule = Choice(
            [("their prior (default)", "prior"), ("as published: a posterior blind", "posterior")]
        )
        self.rule.setToolTip(
            "What a level that is off takes: its prior, which costs nothing; or, as published, the "
            "posterior computed without the image, whose KL is paid"
        )
        self.learns = Choice(
            [("what is below the levels that stay", "below"), ("the whole network", "all")]
        )
        self.learns.setToolTip(
            "Below: what the levels that are on hold stays as it is, so that the artefact cannot move "
            "up into them. From scratch the whole network learns in any case"
        )
        self.retrain = QPushButton("Retrain without these levels")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        form, expert = Form(), Form()
        form.add("Begin", self.begin)
        form.add("Train for", row(self.duration, self.unit, stretch=0))
        form.add("Save as", self.name)
        expert.add("Off means", self.rule)
        expert.add("What learns", self.learns)
        self.expert.inside.addLayout(expert)
        layout.addWidget(self.what)
        layout.addWidget(self.source)
        layout.addWidget(self.data)
        layout.addLayout(form)
        layout.addWidget(self.expert)
        layout.addWidget(self.retrain)
        self.begin.currentIndexChanged.connect(self._on_begin)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.source.changed.connect(self._explain)
        self.name.textEdited.connect(lambda text: self.name.setModified(bool(text)))
        self.retrain.clicked.connect(self.wanted.emit)
        watch(self, session.model_changed, self._on_model)
        watch(self, session.levels_changed, self._on_levels)
        self._timed: Any = None
        self._usual: float | None = None  # what the duration was set to by itself
        self._on_unit()
        self._on_model()

    def config(self, device: str) -> TrainingConfig:
        """All choices as one config.

        Raises
        ------
        HDNError
            If no level is off.
        """
        session = self._session
        model, off = session.chosen_model(), session.levels_off
        if not off:
            raise HDNError(
                "All levels are on: switch off those that hold the artefact, then retrain without them."
            )
        scratch, amount = self.begin.value(), self.duration.value()
        minutes = self.unit.value() == "minutes"
        changes: dict[str, Any] = {"device": device}
        if self.source.channel.count():
            changes["channel"] = self.source.channel.value()
        return api.variant_config(
            model,
            off,
            deactivation=self.rule.value(),
            learns=None if scratch else self.learns.value(),
            scratch=scratch,
            minutes=amount if minutes else None,
            steps=None if minutes else round(amount),
            **changes,
        )

    # what is usual

    def _on_model(self) -> None:
        model = self._session.model
        if model is not None:
            self.rule.choose(model.config.network.deactivation)
            if self.source.channel.count():
                self.source.channel.choose(model.config.channel)
        if model is not self._timed:  # what was set was for another model
            self._timed, self._usual = model, None
        self._on_levels()

    def _on_levels(self) -> None:
        session, off = self._session, self._session.levels_off
        model = session.model
        trained = () if model is None else tuple(sorted(model.config.network.deactivated_levels))
        self.retrain.setEnabled(model is not None and off != trained)
        if model is None:
            self.what.say("Choose a model first.")
        elif not off:
            self.what.say("All levels are on. Switch off those that hold the artefact.")
        elif off == trained:
            self.what.say(
                f"{model.name} was trained without {api.spoken_levels(off)}. Switch more levels off, or "
                "train it longer with Continue in the dock Train HDN."
            )
        else:
            how = "is" if len(off) == 1 else "are"
            self.what.say(
                f"{api.spoken_levels(off).capitalize()} {how} off. The network learns to do without; a "
                "new model is made, and this one stays as it is."
            )
            if not self.name.isModified():
                self.name.setText(api.suggested_name(session.model, off))
        self._usual_duration(unless_edited=True)
        self._explain()

    def _on_begin(self) -> None:
        self.learns.setEnabled(not self.begin.value())
        self._usual_duration()

    def _on_unit(self) -> None:
        minutes = self.unit.value() == "minutes"
        self.duration.setDecimals(1 if minutes else 0)
        self.duration.setRange(0.1 if minutes else 1, 1e4 if minutes else 1e8)
        self.duration.setSingleStep(1 if minutes else 100)
        self._usual_duration()

    def _usual_duration(self, *, unless_edited: bool = False) -> None:
        """A quarter of what the network took, or all of it from scratch."""
        session = self._session
        if session.model is None or not session.levels_off:
            return
        if unless_edited and self._usual is not None and self.duration.value() != self._usual:
            return
        usual = api.variant_config(session.model, session.levels_off, scratch=self.begin.value())
        done = session.model.summary
        if self.unit.value() == "steps":
            self.duration.setValue(usual.steps or 1)
        else:
            a_step = done.seconds / max(done.steps, 1)
            self.duration.setValue((usual.steps or 1) * a_step / 60)
        self._usual = self.duration.value()

    # the images

    def take_images(self, layer: Any) -> None:
        """Offer the image that is inspected as what to train on."""
        if layer is not None:
            self.source.images.choose(layer)

    def _explain(self) -> None:
        model = self._session.model
        if model is None:
            self.data.say("")
            return
        learned = "; ".join(model.summary.data)
        stack = self._first_stack()
        if stack is None:
            self.data.say(f"{model.name} learned from {learned}.")
        elif any(told.startswith(stack.name + _signature(stack)) for told in model.summary.data):
            self.data.say(f"{model.name} learned from the same: {learned}.")
        elif any(_signature(stack) in told for told in model.summary.data):
            self.data.say(
                f"{model.name} learned from images of this size: {learned}. If these are others, take "
                "some from the same microscope and settings."
            )
        else:
            self.data.say(
                f"{model.name} learned from other images: {learned}. Best train on those, or on "
                "images from the same microscope and settings.",
                warning=True,
            )

    def _first_stack(self) -> ImageStack | None:
        try:
            source = self.source.snapshot()
            stacks = source.open() if self.source.layer is not None else self.source.folder.stacks()
        except HDNError:
            return None
        return stacks[0] if stacks else None


def _signature(stack: ImageStack) -> str:
    return f" {stack.axes} {' x '.join(map(str, stack.array.shape))} "
