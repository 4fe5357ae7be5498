"""The dock *Generate images*: what a model has learned, next to what is real."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QLabel, QPushButton, QSpinBox

from napari_hdn import api
from napari_hdn.api import GenerationConfig
from napari_hdn.ui.camera import camera_kept
from napari_hdn.ui.generation import Generated, GenerationJob, Real
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.layers import Placement, add_image, product_of, selectable
from napari_hdn.ui.outputs import look_of
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.forms import Choice, Form, Hint, heading, row, watch
from napari_hdn.ui.parts.generated import GeneratedView
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.levels.switches import LevelSwitches
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.region import region_in_view
from napari_hdn.ui.session import session_of
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    import napari

_MOST_PX, _MOST_IMAGES, _SEEDS = 99_999, 9_999, 2**31 - 1


def _raw(layer: Layer) -> bool:
    return selectable(layer) and product_of(layer) not in {"mean", "median", "map", "truth"}


class GenerateDock(JobDock):
    """A view of the session's model and of what it generated last.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = (GenerationJob.kind,)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.models = ModelChoice(self._session)
        self.height, self.width = _spin(_MOST_PX, 512), _spin(_MOST_PX, 512)
        self.height.setSuffix(" px")
        self.width.setSuffix(" px")
        self.height.setToolTip("Height in pixels")
        self.width.setToolTip("Width in pixels")
        self.number = _spin(_MOST_IMAGES, 4)
        self.memory = Hint()
        self.seed = _spin(_SEEDS, 0, least=0)
        self.seed.setToolTip("The same seed generates the same images")
        self.another = QPushButton("Another")
        self.another.setToolTip("Another seed, drawn at random: other images")
        self.levels = LevelSwitches(self._session)
        self.image = LayerPick(self._session, "nothing real", _raw)
        self.image.setToolTip("Pieces of it are shown next to generated images of the same size")
        self.compare = Choice([("restored images", False), ("raw images", True)])
        self.compare.setToolTip(
            "Generated images are free of camera noise, as restored ones are; to compare with raw "
            "images, camera noise is simulated"
        )
        self.device = DeviceChoice()
        self.notices = Notices()
        self.view = GeneratedView()
        self.generate = QPushButton("Generate")
        self.generate.setToolTip("Draw images from what the model has learned")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop; images that are done are kept")
        self._lay_out()
        self._connect()
        self._choose_first()
        self._tell_memory()
        self._show_job()

    def _lay_out(self) -> None:
        form = Form()
        form.add("Height × width", row(self.height, QLabel("×"), self.width))
        form.add("Images", self.number)
        form.addRow(self.memory)
        form.add("Seed", row(self.seed, self.another, stretch=0))
        form.add("Levels on", self.levels)
        form.add("Device", self.device)
        real = Form()
        real.add("Image", self.image)
        real.add("Compare with", self.compare)
        self.body.addWidget(self.models)
        self.body.addLayout(form)
        self.body.addWidget(heading("Real next to generated"))
        self.body.addLayout(real)
        self.body.addWidget(self.notices)
        self.body.addWidget(self.view)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.generate, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.generate.clicked.connect(lambda: self._begin(self._generation))
        self.stop.clicked.connect(self._session.stop)
        self.another.clicked.connect(lambda: self.seed.setValue(random.randrange(_SEEDS)))
        self.view.layers_wanted.connect(self._on_layers)
        for field in (self.height, self.width, self.number):
            field.valueChanged.connect(self._tell_memory)
        watch(self, self._session.viewer.layers.events.inserted, self._choose_first)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)

    def _choose_first(self, event: object = None) -> None:
        self.image.refresh()  # napari may tell this widget first
        if self.image.layer is None and self.image.count() == 2 and event is not None:
            self.image.setCurrentIndex(1)
        elif event is None and self.image.count() > 1:
            self.image.setCurrentIndex(1)
            self.image.choose(self._session.viewer.layers.selection.active or self.image.layer)

    def _tell_memory(self) -> None:
        size = 4 * self.height.value() * self.width.value() * self.number.value()
        text = f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
        self.memory.say(f"{text} of memory for all images.", warning=size >= 1e9)

    # what the user does

    def config(self) -> GenerationConfig:
        """All choices as one config."""
        return GenerationConfig(
            height=self.height.value(),
            width=self.width.value(),
            number=self.number.value(),
            seed=self.seed.value(),
            deactivated_levels=self._session.levels_off,
            camera_noise=self.compare.value(),
            device=self.device.value(),
            tile_px=api.settings_in_force().tile_px,
        )

    def _generation(self) -> Job:
        return GenerationJob(self._session.chosen_model(), self.config(), self._real())

    def _real(self) -> Real | None:
        """The chosen layer and the plane of it that is shown, of one channel."""
        model, layer = self._session.chosen_model(), self.image.layer
        if layer is None:
            return None
        source = self.image.source(model.config.channel)
        assert source is not None
        stack, viewer = source.stack, self._session.viewer
        shown = region_in_view(viewer, layer, stack).index
        if "C" in stack.leading_axes:
            channel = shown[stack.leading_axes.index("C")]
            source = LayerSource(layer, stack.of_channel(channel), source.placement)
            shown = region_in_view(viewer, layer, source.stack).index
        return Real(source, shown)

    def _on_layers(self) -> None:
        generated, viewer = self.view.generated, self._session.viewer
        if generated is not None and viewer is not None:
            add_generated(viewer, generated)
            if generated.real is not None:
                self.progress.line.say(
                    "The generated images are a new layer, to the right of "
                    f"{generated.real.name}: press the house button below the layers to see both."
                )

    # what the session tells

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.generate.setEnabled(not running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
        if isinstance(job, GenerationJob) and job.generated is not None:
            self.view.show_generated(job.generated)


def add_generated(viewer: napari.viewer.Viewer, generated: Generated) -> None:
    """Add a layer with an axis ``sample``, to the right of the real image where there is one."""
    images, real = generated.images, generated.real
    name = f"{generated.model} [HDN generated, no real images]"
    if real is None:
        placement = Placement.plain("YX", None)
        data = images
        look = {}
    else:
        stack, whole = real.source.stack, real.source.placement
        region = real.beside(images.shape[1:])
        placement = region.placed(stack, whole)
        data = np.stack([region.shaped(stack, image) for image in images])
        look = look_of(whole, images[0])
    identity = dict(generated.identity)
    if real is not None:
        identity["source"] = real.name
    with camera_kept(viewer):
        add_image(viewer, data, name, placement.led_by(("sample",), (0.0,)), identity, **look)


def _spin(most: int, value: int, *, least: int = 1) -> QSpinBox:
    box = QSpinBox()
    box.setRange(least, most)
    box.setValue(value)
    return box
