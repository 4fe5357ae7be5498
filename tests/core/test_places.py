"""Where pieces are taken from."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from napari_hdn.core.places import places


@pytest.mark.parametrize(
    ("shape", "size", "number"), [((90, 130), (40, 50), 6), ((60, 60), (40, 40), 9)]
)
def test_no_two_share_more_than_half(shape, size, number):
    planes = [(0, 1), (2, 0)]
    for seed in range(20):
        found = places(planes, shape, size, number, seed)
        assert 2 <= len(found) <= number
        assert [index for index, *_ in found[:2]] == planes  # in turns
        covered = []
        for index, y, x in found:
            assert 0 <= y <= shape[0] - size[0] and 0 <= x <= shape[1] - size[1]
            mask = np.zeros((3, 2, *shape), bool)
            mask[index][y : y + size[0], x : x + size[1]] = True
            covered.append(mask)
        for one, other in combinations(covered, 2):
            assert (one & other).sum() <= one.sum() / 2
        assert found == places(planes, shape, size, number, seed)


def test_where_there_is_room_all_are_found():
    for seed in range(20):
        assert len(places([()], (512, 512), (128, 128), 4, seed)) == 4


@pytest.mark.parametrize("shape", [(64, 64), (65, 70)])
def test_a_plane_that_is_hardly_larger_has_one(shape):
    assert len(places([()], shape, (64, 64), 4, 0)) == 1
    assert [p[0] for p in places([(0,), (1,), (2,)], shape, (64, 64), 9, 0)] == [(0,), (1,), (2,)]
