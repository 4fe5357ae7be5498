"""AP and SEG against their definitions, written out."""

import numpy as np
import pytest

from napari_hdn.core.errors import ConfigurationError, ImageError
from napari_hdn.core.segmentation.overlaps import overlaps
from napari_hdn.core.segmentation.scores import THRESHOLDS, check_truth, score


def random_labels(seed, objects=9, size=40):
    """Rectangles over each other, with numbers in no order."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    for number in rng.permutation(50)[:objects] + 3:
        y, x = rng.integers(0, size - 5, 2)
        h, w = rng.integers(4, 14, 2)
        labels[y : y + h, x : x + w] = number
    return labels


def brute_iou(a, b):
    return {
        (i, j): ((a == i) & (b == j)).sum() / ((a == i) | (b == j)).sum()
        for i in np.unique(a[a > 0])
        for j in np.unique(b[b > 0])
    }


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_their_definitions(seed):
    truth = random_labels(seed)
    found = np.roll(truth, (seed % 3, seed % 2), (0, 1))
    found[random_labels(seed + 100, 2) > 0] = 0
    iou = brute_iou(truth, found)
    n, m = len(np.unique(truth)) - 1, len(np.unique(found)) - 1
    aps = []
    for threshold in THRESHOLDS:
        used: set = set()
        for (i, j), value in sorted(iou.items(), key=lambda kv: -kv[1]):
            if value >= threshold and ("t", i) not in used and ("f", j) not in used:
                used |= {("t", i), ("f", j)}
        tp = len(used) // 2
        aps.append(tp / (tp + (n - tp) + (m - tp)))
    seg = []
    for i in np.unique(truth[truth > 0]):
        own = truth == i
        covering = [
            j for j in np.unique(found[found > 0]) if (own & (found == j)).sum() > own.sum() / 2
        ]
        seg.append(iou[i, covering[0]] if covering else 0)
    got = score(found, truth)
    assert got.ap50 == pytest.approx(aps[0])
    assert got.ap == pytest.approx(np.mean(aps))
    assert got.seg == pytest.approx(np.mean(seg))
    assert (got.objects, got.truth_objects) == (m, n)
    best = overlaps(truth, found).best_iou()
    expected = [max(v for (a, _), v in iou.items() if a == i) for i in np.unique(truth[truth > 0])]
    np.testing.assert_allclose(best, expected)


def test_thresholds():
    np.testing.assert_allclose(THRESHOLDS, np.arange(0.5, 0.96, 0.05))


def test_perfect_and_nothing():
    truth = random_labels(0)
    perfect, nothing = score(truth * 3, truth), score(np.zeros_like(truth), truth)
    assert (perfect.ap50, perfect.ap, perfect.seg) == (1, 1, 1)
    assert (nothing.ap50, nothing.ap, nothing.seg, nothing.objects) == (0, 0, 0, 0)


def test_at_one_half_an_object_counts_once():
    """Two halves of a cell overlap it by exactly 0.5 each: one is a hit, the other false."""
    truth = np.zeros((10, 10), np.int32)
    truth[2:4] = 1
    found = np.zeros((10, 10), np.int32)
    found[2], found[3] = 1, 2
    got = score(found, truth)
    assert got.ap50 == 1 / 2
    assert got.seg == 0  # neither covers more than half


def test_large_label_numbers():
    truth = random_labels(1)
    assert score(truth * 20_000_000, truth).ap == 1


def test_truths_that_cannot_be_used():
    labels = random_labels(0)
    with pytest.raises(ImageError, match="30 x 40 pixels, the image 40 x 40"):
        check_truth(labels[:30], (40, 40), "drawn.tif")
    with pytest.raises(ConfigurationError, match=r"1600 of 1600 pixels.*such as 0\.5"):
        check_truth(labels * 0 + 0.5, (40, 40), "drawn.tif")
    with pytest.raises(ConfigurationError, match="holds -1"):
        check_truth(labels - 1, (40, 40), "drawn.tif")
    with pytest.raises(ImageError, match="no objects"):
        check_truth(labels * 0, (40, 40), "drawn.tif")
    grid = np.kron(np.eye(8, dtype=int), np.ones((5, 5), int))
    grid[2::5] = grid[:, 2::5] = 0
    with pytest.raises(ImageError, match=r"one object in \d+ separate pieces: it is a mask"):
        check_truth(grid, (40, 40), "drawn.tif")
    np.testing.assert_array_equal(check_truth(labels.astype(np.float32), (40, 40), "x"), labels)
    with pytest.raises(ImageError, match="same size"):
        score(labels[1:], labels)
    with pytest.raises(ImageError, match="no objects"):
        score(labels, labels * 0)
