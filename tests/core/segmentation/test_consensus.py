"""What several segmentations agree on, on synthetic cells and on closed cases."""

import numpy as np
import pytest

from cells import blobs, membranes
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.segmentation.consensus import Consensus, consensus
from napari_hdn.core.segmentation.segment import segment
from napari_hdn.core.segmentation.settings import SegmentationConfig


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("cells", "recipe"), [(membranes, "membranes"), (blobs, "bright")])
def test_it_beats_every_single_segmentation(cells, recipe, seed):
    truth, samples = cells(seed)
    *_, result = segment([samples], SegmentationConfig(recipe=recipe))
    scores = result.scores(truth)
    for name in ("ap50", "ap", "seg"):
        singles = [getattr(s, name) for s in scores.samples]
        agreed = getattr(scores.consensus, name)
        assert agreed > max(singles)
        assert agreed > 1.15 * np.mean(singles)


def two_cells(line: int) -> np.ndarray:
    """Two cells, 40 x 60, with a line of background between them at a column."""
    labels = np.ones((40, 60), np.int32)
    labels[:, line] = 0
    labels[:, line + 1 :] = 7
    return labels


def test_equal_segmentations_are_their_own_consensus():
    agreed = consensus(np.stack([two_cells(30)] * 4))
    np.testing.assert_array_equal(agreed.labels > 0, two_cells(30) > 0)
    np.testing.assert_array_equal(np.unique(agreed.labels), [0, 1, 2])
    np.testing.assert_array_equal(agreed.confidence, [1, 1])
    np.testing.assert_array_equal(agreed.samples_with, [4, 4])


def test_gaps_in_other_places_close():
    """In every sample the two cells are one, by a gap elsewhere."""
    samples = []
    for gap in (2, 14, 26):
        labels = np.ones((40, 60), np.int32)
        labels[:, 30] = 0
        labels[gap : gap + 9, 30] = 1
        samples.append(labels)
    agreed = consensus(np.stack(samples))
    assert len(agreed.confidence) == 2
    assert agreed.labels[20, 10] != agreed.labels[20, 50]
    areas = np.bincount(agreed.labels.ravel())[1:]
    np.testing.assert_allclose(agreed.confidence, areas / (40 * 60 - 31), atol=0.005)


def test_lines_a_pixel_or_two_apart_are_the_same_border():
    agreed = consensus(np.stack([two_cells(c) for c in (28, 30, 31, 32, 29)]))
    assert len(agreed.confidence) == 2
    np.testing.assert_array_equal(agreed.samples_with, [5, 5])


def test_the_majority_decides_on_an_object():
    one = np.zeros((40, 40), np.int32)
    one[5:15, 5:15] = 3
    both = one.copy()
    both[25:35, 25:35] = 1
    assert consensus(np.stack([both, one, one])).labels[30, 30] == 0
    agreed = consensus(np.stack([both, both, one]))
    k = agreed.labels[30, 30] - 1
    assert agreed.confidence[k] == pytest.approx(2 / 3)
    assert agreed.samples_with[k] == 2
    image = agreed.confidence_image()
    assert image[30, 30] == pytest.approx(2 / 3) and image[0, 0] == 0 and image[10, 10] == 1


def test_narrow_objects_on_background_are_kept_and_small_ones_left_out():
    labels = np.zeros((30, 30), np.int32)
    labels[10:13, 4:20] = 1  # no pixel of it is far from its border
    np.testing.assert_array_equal(consensus(np.stack([labels] * 3)).labels, labels)
    assert not consensus(np.stack([labels] * 3), least_px=49).labels.any()


def test_objects_that_touch_stay_apart():
    labels = np.zeros((30, 40), np.int32)
    labels[5:25, 5:20], labels[5:25, 20:35] = 2, 1
    agreed = consensus(np.stack([labels] * 3)).labels
    assert len(np.unique(agreed[labels == 1])) == len(np.unique(agreed[labels == 2])) == 1
    assert agreed.max() == 2


def test_one_sample_is_its_own_consensus():
    agreed = consensus(two_cells(30)[None])
    np.testing.assert_array_equal(agreed.labels == 2, two_cells(30) == 7)
    assert agreed.samples == 1


def test_nothing_gives_nothing():
    agreed = consensus(np.zeros((3, 20, 20), np.int32))
    assert not agreed.labels.any()
    assert agreed.confidence.shape == agreed.samples_with.shape == (0,)
    assert not agreed.confidence_image().any()
    with pytest.raises(ConfigurationError, match="at least one"):
        consensus(np.zeros((0, 20, 20), np.int32))


def test_how_many_objects_half_of_the_samples_have():
    agreed = Consensus(np.zeros((2, 2), np.int32), np.ones(4), np.array([0, 2, 3, 5]), 5)
    assert agreed.agreed == 2
