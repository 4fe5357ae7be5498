"""inspect(): events, what it finds, and what bad input gets."""

import json

import numpy as np
import pytest

from napari_hdn.core.errors import (
    ConfigurationError,
    ImageError,
    MemoryShortError,
    NoiseModelError,
)
from napari_hdn.core.events import (
    InspectionFinished,
    InspectionProgress,
    Stop,
)
from napari_hdn.core.levels import inspection
from napari_hdn.core.levels.inspection import inspect, prepare
from napari_hdn.core.levels.scores import score_levels
from simulated import TINY, simulate


@pytest.fixture
def counts():
    """Counts with lines along x."""
    rng = np.random.default_rng(0)
    lines = np.repeat(rng.normal(0, 15, (128, 14)), 10, axis=1)[:, :128]
    return simulate((128, 128)) + lines.astype(np.float32)


def looked(model, counts, **options):
    *_, finished = inspect(model, counts, device="cpu", **options)
    assert isinstance(finished, InspectionFinished)
    return finished.inspection


def test_progress_and_then_the_result(model, counts):
    events = list(inspect(model, counts, device="cpu"))
    *progress, finished = events
    assert all(isinstance(e, InspectionProgress) for e in progress)
    assert [e.fraction for e in progress] == [0.25, 0.5, 0.75, 1.0]
    assert progress[-1].remaining_s == 0 and progress[0].remaining_s > 0
    found = finished.inspection
    assert found.model == "unsaved model"
    np.testing.assert_array_equal(found.counts, counts)
    expected = model.restore(counts, "YX", samples=1, device="cpu").mean
    np.testing.assert_allclose(
        found.decomposition.image, expected, atol=0.02 * float(np.ptp(expected))
    )
    assert found.structure is not None and found.structure.verdict == "structured"
    assert found.scores == score_levels(found.decomposition, found.structure)
    assert set(found.advice.off) <= {1, 2}


def test_integers_and_arrays_of_any_order_are_taken(model, counts):
    whole = np.rint(counts).astype(np.uint16)
    a, b = looked(model, whole), looked(model, np.asfortranarray(whole.astype(np.float64)))
    np.testing.assert_array_equal(a.decomposition.contributions, b.decomposition.contributions)
    assert a.counts.dtype == np.float32


def test_a_background_that_was_drawn_counts(model, counts):
    found = looked(model, counts, boxes=[(0, 64, 0, 48)])
    assert found.structure.source == "region"
    assert found.scores == score_levels(found.decomposition, found.structure, [(0, 64, 0, 48)])


def test_stop_leaves_no_result(model, counts):
    stop = Stop()
    events = inspect(model, counts, device="cpu", stop=stop)
    assert isinstance(next(events), InspectionProgress)
    stop.request()
    assert list(events) == []


def test_json_can_be_loaded_and_has_no_nan(model, counts):
    for image, boxes in [
        (counts, None),
        (counts, [(0, 128, 0, 128)]),
        (np.where(np.arange(64) < 1, 121.0, np.full((64, 64), 120.0)), None),
        (counts[:40, :33], None),
    ]:
        found = looked(model, image, boxes=boxes)
        data = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert data["model"] == "unsaved model" and data["shape"] == list(image.shape)
        assert [level["level"] for level in data["levels"]] == [1, 2, 3]
        assert data["levels_trained_off"] == []
        assert data["advice"]["in_words"] and data["advice"]["reasons"]


def test_a_model_with_one_level(make, counts):
    with pytest.raises(ConfigurationError, match=r"unsaved model has a single latent level.*Fast"):
        list(inspect(make(TINY.model_copy(update={"levels": 1})), counts))


@pytest.mark.parametrize(
    ("levels", "shape", "says"),
    [
        (3, (31, 100), r"31 x 100 pixels is too small .* 8 pixels wide.* least 32 x 32"),
        (6, (63, 100), r"63 x 100 pixels is too small .* 64 pixels wide.* least 64 x 64"),
        (3, (2, 64, 64), r"2 x 64 x 64"),
    ],
)
def test_too_small(make, levels, shape, says):
    with pytest.raises(ImageError, match=says):
        list(inspect(make(TINY.model_copy(update={"levels": levels})), np.ones(shape)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers(make, counts, bad):
    counts = counts.copy()
    counts[3, 4] = bad
    with pytest.raises(ImageError, match="1 of 16384 pixels are NaN or infinite"):
        list(inspect(make(), counts))


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((0, 200, 0, 64), "y 0 to 200, x 0 to 64 lies outside the image of 128 x 128"),
        ((-5, 20, 0, 64), "lies outside"),
        ((0, 9, 0, 64), "too small"),
    ],
)
def test_boxes_that_do_not_fit(make, counts, box, says):
    with pytest.raises(NoiseModelError, match=says):
        list(inspect(make(), counts, boxes=[box]))


def test_a_background_without_noise(make, counts):
    counts = counts.copy()
    counts[:40, :40] = 100
    with pytest.raises(NoiseModelError, match="shows no noise: 100 %"):
        list(inspect(make(), counts, boxes=[(0, 32, 0, 32)]))


def test_too_little_memory(make, counts, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("CUDA out of memory. Tried to allocate")
        yield

    monkeypatch.setattr(inspection, "decompose", fails)
    with pytest.raises(MemoryShortError, match="128 x 128 pixels"):
        list(inspect(make(), counts, device="cpu"))


@pytest.mark.filterwarnings("ignore:.* runs from")
def test_other_intensities_are_told_and_make_the_advice_uncertain(model, counts):
    trained = looked(model, counts)
    other = looked(model, 50 * counts, name="bright.tif")
    assert trained.warnings == () and trained.to_json()["warnings"] == []
    (warning,) = other.warnings
    assert "bright.tif runs from" in warning and "trained on images from" in warning
    assert other.to_json()["warnings"] == [warning]
    assert not other.advice.off or other.advice.confidence == "low"


def test_a_blank_plane_shows_nothing(make):
    with pytest.raises(ImageError, match="All pixels of this piece of the image are 120 counts"):
        list(inspect(make(), np.full((64, 64), 120.0)))


def test_a_large_plane_is_scored_in_the_middle(model, counts, monkeypatch):
    whole = looked(model, counts)
    monkeypatch.setattr(inspection, "SCORED_PX", 64)
    part = looked(model, counts)
    middle = np.s_[32:96, 32:96]
    expected = score_levels(whole.decomposition.part(*middle), whole.structure)
    assert part.scores == expected
    np.testing.assert_array_equal(
        part.decomposition.contributions, whole.decomposition.contributions
    )


def test_a_plane_too_large_for_the_memory_is_refused_before_it_is_decoded(
    make, counts, monkeypatch
):
    monkeypatch.setattr("napari_hdn.core.devices.Device.free_bytes", lambda self: 1_000_000)
    with pytest.raises(MemoryShortError, match=r"128 x 128 pixels at once needs about 0.0 GB"):
        list(inspect(make(), counts, device="cpu"))


def test_prepared_for_a_device(make):
    prepared = prepare(make(), "cpu")
    assert prepared.device.name == "cpu" and not prepared.network.training
