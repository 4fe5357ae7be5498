"""The mode of samples, against scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from sklearn.cluster import MeanShift

from napari_hdn.core.restoring.mean_shift import WINDOW_PX, map_estimate, mode_weights


def squared_distances(points):
    return ((points[:, None] - points[None, :]) ** 2).sum(-1)


def two_modes(n, share, shape, distance, seed=0):
    """Samples of which a share has something that the others lack."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 1, (n, *shape))
    y, x = (slice(s // 4, 3 * s // 4) for s in shape)
    samples[: round(share * n), y, x] += distance
    return torch.from_numpy(samples).float()


@pytest.mark.parametrize("seed", range(6))
def test_the_mode_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    points = np.concatenate(
        [rng.normal(0, 1, (11, 3)), rng.normal(4, 1, (8, 3)), rng.normal(-5, 1, (5, 3))]
    )
    distances2 = squared_distances(points)
    k = round(0.3 * (len(points) - 1))
    reach = 0.9 * np.sort(np.sqrt(distances2), axis=1)[:, k].mean()
    shift = MeanShift(bandwidth=reach, max_iter=1000).fit(points)
    weights = mode_weights(torch.from_numpy(distances2)[None], 0.9)[0].numpy()
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    within = (np.linalg.norm(points - weights @ points, axis=1) <= reach).sum()
    theirs = [(np.linalg.norm(points - c, axis=1) <= reach).sum() for c in shift.cluster_centers_]
    assert within == max(theirs)
    nearest = np.linalg.norm(shift.cluster_centers_ - weights @ points, axis=1).min()
    assert nearest < 0.05 * reach


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_of_two_modes_it_takes_the_larger_where_the_mean_lies_between(share):
    samples = two_modes(40, share, (32, 32), 4.0)
    middle = (slice(12, 20), slice(12, 20))
    mode = float(map_estimate(samples, 1.0)[middle].mean())
    mean = float(samples.mean(0)[middle].mean())
    assert mean == pytest.approx(4 * share, abs=0.15)
    assert mode == pytest.approx(4.0 if share > 0.5 else 0.0, abs=0.2)


@pytest.mark.parametrize("n", [8, 20, 60])
def test_with_one_mode_it_is_the_mean_but_for_a_few_samples(n):
    samples = torch.randn((n, 64, 64), generator=torch.Generator().manual_seed(0))
    difference = map_estimate(samples, 1.0) - samples.mean(0)
    assert float(difference.std()) < 0.5 / n**0.5
    difference = map_estimate(samples, 2.0) - samples.mean(0)
    assert float(difference.abs().max()) < 1e-5  # all are within reach


def test_windows_blend_to_a_partition_of_unity():
    """Samples that differ by a constant: every window's mode is the same place, so is the whole."""
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.normal(0, 1, (50, 75))).float()
    shifts = torch.tensor([0.0, 0.1, 0.2, 5.0, 9.0])
    got = map_estimate(image + shifts[:, None, None], 0.1)
    torch.testing.assert_close(got, image + 0.1, atol=1e-4, rtol=0)


def test_a_piece_of_the_plane_gives_the_same_away_from_its_borders():
    samples = two_modes(12, 0.5, (128, 96), 3.0)
    whole = map_estimate(samples, 1.0)
    y, x = 37, 21
    piece = map_estimate(samples[:, y:, x:], 1.0, (y, x))
    torch.testing.assert_close(
        piece[WINDOW_PX:, WINDOW_PX:], whole[y + WINDOW_PX :, x + WINDOW_PX :], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (WINDOW_PX, WINDOW_PX), (33, 7)])
def test_any_size(shape):
    samples = torch.randn((4, *shape), generator=torch.Generator().manual_seed(0))
    got = map_estimate(samples, 5.0)
    torch.testing.assert_close(got, samples.mean(0), atol=1e-5, rtol=0)


def test_one_sample_and_samples_that_are_all_the_same():
    sample = torch.randn((1, 40, 40), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(map_estimate(sample, 0.8), sample[0])
    torch.testing.assert_close(map_estimate(sample.expand(5, -1, -1), 0.8), sample[0])
