"""The generator: progress, Stop, what is told, the table of objects."""

import numpy as np
import pytest

from cells import blobs
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.errors import ImageError, StoppedEarly
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.segmentation.recipes import bright, without_small
from napari_hdn.core.segmentation.segment import (
    Segmentation,
    SegmentationProgress,
    objects_table,
    segment,
    segment_plane,
)
from napari_hdn.core.segmentation.settings import SegmentationConfig
from simulated import run_to_end

BRIGHT = SegmentationConfig(recipe="bright", least_px=30)


def notices(events):
    return [e.text for e in events if isinstance(e, Notice)]


def test_every_sample_is_segmented_by_itself():
    _, samples = blobs(0, samples=4)
    *events, result = segment([samples], BRIGHT)
    for labels, sample in zip(result.samples, samples, strict=True):
        np.testing.assert_array_equal(labels, without_small(bright(sample), 30))
    fractions = [e.fraction for e in events if isinstance(e, SegmentationProgress)]
    assert fractions == sorted(fractions) and fractions[-1] < 1 and len(fractions) > 8
    assert notices(events) == [] and not result.stopped
    assert (result.wanted, result.shortfall) == (4, "")


def test_from_a_model(stack, tiny_config: TrainingConfig):
    finished, _ = run_to_end([stack], tiny_config)
    counts = stack.plane((0,))
    config = SegmentationConfig(recipe="membranes", samples=3, device="cpu", seed=5)
    *events, result = segment_plane(finished.model, counts, config)
    *_, again = segment_plane(finished.model, counts, config)
    *_, other = segment_plane(finished.model, counts, config.model_copy(update={"seed": 6}))
    assert result.samples.shape == (3, 64, 64)
    np.testing.assert_array_equal(result.samples, again.samples)
    assert (result.samples != other.samples).any()
    fractions = [e.fraction for e in events if isinstance(e, SegmentationProgress)]
    assert fractions == sorted(fractions) and fractions[-1] <= 1
    with pytest.raises(ImageError, match="NaN"):
        list(segment_plane(finished.model, np.where(counts > 150, np.nan, counts), config))


def test_stop_keeps_the_samples_that_are_done():
    _, samples = blobs(0, samples=6)
    stop, seen = Stop(), []
    for event in segment([samples], BRIGHT, stop=stop):
        seen.append(event)
        if len(seen) == 2:
            stop.request()
    result = seen[-1]
    assert isinstance(result, Segmentation) and result.stopped
    assert (result.wanted, result.shortfall) == (6, "3 of 6 samples")
    assert len(result.samples) == 3  # the one that was under way is done too
    *_, three = segment([samples[:3]], BRIGHT)
    np.testing.assert_array_equal(result.consensus.labels, three.consensus.labels)
    assert "the consensus is of 3 of 6 samples" in notices(seen)[0]


def test_stopped_while_drawing():
    with pytest.raises(StoppedEarly, match="nothing was segmented"):
        list(segment([0.1, 0.2], BRIGHT))


def test_one_sample_is_told():
    _, samples = blobs(0, samples=1)
    *events, result = segment([samples], BRIGHT)
    assert "One sample has nothing to agree with" in notices(events)[0]
    np.testing.assert_array_equal(result.consensus.labels, result.samples[0])


@pytest.mark.parametrize("recipe", ["membranes", "bright"])
def test_an_empty_image_has_no_objects_and_says_so(recipe):
    config = SegmentationConfig(recipe=recipe)
    *events, result = segment([np.zeros((3, 40, 50), np.float32)], config)
    assert not result.consensus.labels.any()
    assert objects_table(result)[1] == []
    assert "found no object of at least 20 pixels in any sample" in notices(events)[0]


def test_samples_that_agree_on_nothing():
    samples = np.zeros((3, 90, 90), np.float32)
    for k in range(3):
        samples[k, 30 * k + 5 : 30 * k + 20, 30:50] = 100
    *events, result = segment([samples], BRIGHT)
    assert not result.consensus.labels.any()
    assert "have 1 to 1 objects, but most of them agree on none" in notices(events)[0]


def test_samples_that_are_none():
    with pytest.raises(ImageError, match="not 2 axes of 40 x 50"):
        list(segment([np.zeros((40, 50))], BRIGHT))
    with pytest.raises(ImageError, match="1 of 2000 pixels are NaN"):
        bad = np.zeros((1, 40, 50))
        bad[0, 3, 3] = np.nan
        list(segment([bad], BRIGHT))


def test_the_table_of_objects():
    labels = np.zeros((40, 50), np.int32)
    labels[4:10, 6:16] = 1
    samples = np.stack([labels, labels, labels * 0])
    *_, result = segment([samples.astype(np.float32)], BRIGHT, recipe=lambda x: x.astype(int))
    header, rows = objects_table(result, (0.5, 0.2), (100, 200))
    row = dict(zip(header, rows[0], strict=True))
    assert len(rows) == 1
    assert row["area (px)"] == 60
    assert row["area (µm²)"] == pytest.approx(6.0)
    assert row["centroid y (px)"] == pytest.approx(106.5)
    assert row["centroid x (px)"] == pytest.approx(210.5)
    assert row["confidence"] == pytest.approx(2 / 3)
    assert (row["samples with it"], row["samples"]) == (2, 3)
    assert "area (µm²)" not in objects_table(result)[0]


def test_the_table_of_scores():
    truth, samples = blobs(0, samples=3)
    *_, result = segment([samples], BRIGHT)
    scores = result.scores(truth)
    header, rows = scores.table()
    assert [r[0] for r in rows] == [
        "consensus", "mean of single samples", "sample 1", "sample 2", "sample 3",
    ]  # fmt: skip
    for column in range(1, len(header)):
        assert rows[1][column] == pytest.approx(np.mean([r[column] for r in rows[2:]]))
    assert rows[0][1] == scores.consensus.ap50
