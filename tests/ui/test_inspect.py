"""The dock Inspect latent levels, driven as a user drives it."""

import numpy as np
import pytest

from napari_hdn import api
from napari_hdn.core.config import NetworkConfig, TrainingConfig
from napari_hdn.ui.layers import product_of

LEVELS = 3


@pytest.fixture
def striped() -> np.ndarray:
    """(T, Y, X) = (2, 96, 128) counts with horizontal lines."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:96, :128]
    photons = 20 + 15 * np.sin(y / 13) * np.cos(x / 17)
    lines = rng.standard_normal((2, 96, 128 // 8)).repeat(8, axis=-1)
    return (rng.poisson(photons, (2, 96, 128)) * 2 + 100 + 12 * lines).astype(np.float32)


@pytest.fixture
def model_folder(striped):
    """A tiny model of three levels in the models folder."""
    config = TrainingConfig(
        network=NetworkConfig(levels=LEVELS, channels=8, latent_channels=4),
        steps=20,
        minutes=None,
        patch_px=32,
        batch_size=2,
        device="cpu",
        precision="float32",
    )
    folder = api.free_model_folder("lines")
    for _ in api.train([api.ImageStack(striped, "TYX", "striped")], config, folder=folder):
        pass
    return folder


@pytest.fixture
def model(model_folder):
    return api.load_model(model_folder)


@pytest.fixture
def dock(viewer, session, open_dock, model_folder, striped, qtbot):
    """The dock with a placed layer and a model."""
    viewer.add_image(
        striped,
        name="striped",
        scale=(1, 0.13, 0.13),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(50)
    dock = open_dock("Inspect latent levels")
    dock.device.choose("cpu")
    dock.piece.part.choose("plane")
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("lines"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: session.model is not None)
    return dock


@pytest.fixture
def inspected(dock, session, until_free):
    dock.inspect.click()
    until_free()
    assert session.inspected is not None
    return dock


def settled(session, qtbot, off):
    """Wait until the layers show these levels off."""
    qtbot.waitUntil(
        lambda: session.live.shown is not None and session.live.shown.off == off, timeout=20_000
    )


def by_product(viewer, product):
    (layer,) = [x for x in viewer.layers if product_of(x) == product]
    return layer


def test_a_row_a_level_with_its_numbers(inspected, session, model, striped):
    dock = inspected
    *_, last = api.inspect_levels(model, striped[1], device="cpu")
    expected = last.inspection
    assert list(dock.rows.rows) == [3, 2, 1]  # the top on top
    for score in expected.scores:
        line = dock.rows.rows[score.level]
        assert line.words.text() == score.in_words()
        assert f"KL {score.kl:.3g} nats" in line.numbers.text()
        assert line.switch.isChecked()
        assert line.thumbnail.picture.shape == (96, 128)
    assert dock.rows.rows[2].scale.text() == "Details of 4–8 px = 0.52–1.04 µm"
    assert dock.advice.sentence.text() == f"<b>{expected.advice.in_words()}</b>"
    top = dock.rows.rows[3].switch
    assert not top.isEnabled()
    assert "has to stay on" in top.toolTip()
    assert dock.progress.line.text() == "Inspected striped, T 1: 128 × 96 pixels."


def test_contrast_is_shared_or_of_each_row(inspected):
    spans = [np.ptp(line.thumbnail.limits) for line in inspected.rows.rows.values()]
    assert np.ptp(spans) < 1e-6 * max(spans)
    inspected.rows.contrast.choose("own")
    spans = [np.ptp(line.thumbnail.limits) for line in inspected.rows.rows.values()]
    assert np.ptp(spans) > 0.1 * max(spans)


@pytest.mark.parametrize("off", [(1,), (1, 2), (2,)])
def test_a_flip_shows_before_without_and_removed(
    inspected, session, viewer, model, striped, qtbot, off
):
    for level in off:
        inspected.rows.rows[level].switch.click()
    settled(session, qtbot, off)
    view = api.level_view(model, striped[1], "cpu")
    before, without = view.restored(()), view.restored(off)
    source = viewer.layers["striped"]
    for product, picture in (
        ("before", before),
        ("without", without),
        ("removed", before - without),
    ):
        layer = by_product(viewer, product)
        np.testing.assert_allclose(layer.data, picture[None], atol=0.02)
        world = source.data_to_world((1, 3, 4))
        np.testing.assert_allclose(layer.world_to_data(world), (0, 3, 4), atol=1e-9)
    assert "preview" in by_product(viewer, "without").name
    low, high = by_product(viewer, "removed").contrast_limits
    assert low == -high < 0
    assert api.spoken_levels(off) in inspected.removed.words.text()
    np.testing.assert_array_equal(source.data, striped)
