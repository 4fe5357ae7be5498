import numpy as np
import pytest

from napari_hdn.core.restoring.tiling import (
    by_rows,
    fitting_batch,
    halo_px,
    halved,
    mirrored,
    padded_size,
    plan_tiles,
    side_for_samples,
    tile_side,
    widened,
)
from simulated import TINY


@pytest.mark.parametrize("shape", [(64, 64), (64, 160), (400, 48)])
@pytest.mark.parametrize("tile", [None, 32, 50, 1000])
@pytest.mark.parametrize("halo", [0, 8, 100])
def test_kept_parts_cover_a_plane_once(shape, tile, halo):
    seen = np.zeros(shape, int)
    plane = np.random.default_rng(0).random(shape)
    for t in plan_tiles(shape, tile, halo, 16):
        seen[t.inner_y, t.inner_x] += 1
        assert t.y.start % 16 == t.x.start % 16 == t.y.stop % 16 == t.x.stop % 16 == 0
        np.testing.assert_array_equal(plane[t.y, t.x][t.crop], plane[t.inner_y, t.inner_x])
    assert (seen == 1).all()


def test_the_halo_is_seen_on_every_side():
    middle = plan_tiles((96, 96), 32, 16, 16)[4]
    assert (middle.y.start, middle.inner_y.start, middle.inner_y.stop, middle.y.stop) == (
        16,
        32,
        64,
        80,
    )


def test_padding_is_to_the_next_multiple():
    assert padded_size((1, 33), 16) == (16, 48)
    with pytest.raises(ValueError, match="not padded"):
        plan_tiles((30, 32), None, 0, 16)


def test_halo_grows_with_the_levels():
    assert halo_px(TINY) == 64
    assert halo_px(TINY.model_copy(update={"levels": 6})) == 256


def test_large_planes_are_tiled_and_small_ones_are_not():
    assert tile_side((512, 512), TINY, 4, 2 * 1024**3) is None
    side = tile_side((20_000, 20_000), TINY, 4, 2 * 1024**3)
    assert side is not None and side % TINY.multiple == 0 and 64 <= side < 20_000


def test_fewer_samples_at_a_time_come_before_tiles():
    free = 2 * 1024**3
    assert fitting_batch((512, 512), TINY, 4, free) == 4
    batch = fitting_batch((900, 900), TINY, 4, free)
    assert 1 < batch < 4
    assert tile_side((900, 900), TINY, batch, free) is None
    assert tile_side((900, 900), TINY, batch + 1, free) is not None
    assert fitting_batch((20_000, 20_000), TINY, 4, free) == 1


def test_samples_that_are_held_stay_below_their_limit():
    for width, samples, kept in [(20_000, 50, 51), (512, 0, 1), (2048, 100, 2)]:
        side = side_for_samples(width, samples, kept, 16)
        assert side % 16 == 0 and side >= 64
        assert samples * side**2 * 4 <= 5e8 and kept * side * width * 4 <= 5e8
    assert side_for_samples(10**6, 1000, 1000, 64) == 64


def test_rows_of_tiles():
    rows = by_rows(plan_tiles((96, 64), 32, 16, 16))
    assert [[(t.inner_y.start, t.inner_x.start) for t in row] for row in rows] == [
        [(0, 0), (0, 32)], [(32, 0), (32, 32)], [(64, 0), (64, 32)],
    ]  # fmt: skip


def test_a_halved_tile_is_covered_once_by_smaller_ones():
    shape = (160, 96)
    for tile in plan_tiles(shape, 96, 32, 16):
        seen = np.zeros(shape, int)
        parts = halved(tile, shape, 32, 16)
        for part in parts:
            seen[part.inner_y, part.inner_x] += 1
            assert part.y.start == max(0, part.inner_y.start - 32)
            assert part.x.stop == min(96, part.inner_x.stop + 32)
        assert (seen[tile.inner_y, tile.inner_x] == 1).all() and seen.sum() == (
            tile.inner_y.stop - tile.inner_y.start
        ) * (tile.inner_x.stop - tile.inner_x.start)
        assert len(parts) > 1
    (smallest,) = plan_tiles((16, 16), None, 0, 16)
    assert halved(smallest, (16, 16), 0, 16) == [smallest]


@pytest.mark.parametrize("dims", [(), (-1,), (-2,), (-2, -1)])
def test_a_tile_of_a_flipped_plane(dims):
    plane = np.random.default_rng(0).random((96, 64))
    for tile in plan_tiles((96, 64), 32, 16, 16):
        y, x = mirrored(tile, (96, 64), dims)
        seen = np.flip(plane[tile.y, tile.x], dims)
        there = np.flip(plane, dims)[y : y + seen.shape[0], x : x + seen.shape[1]]
        np.testing.assert_array_equal(there, seen)


def test_a_wider_tile_keeps_more_of_what_it_sees():
    first, *_, last = plan_tiles((96, 96), 32, 16, 16)
    wide = widened(first, 12)
    assert (wide.inner_y, wide.inner_x) == (slice(0, 44), slice(0, 44))
    wide = widened(last, 40)
    assert (wide.inner_y, wide.inner_x) == (slice(48, 96), slice(48, 96))
    assert wide.crop == (slice(0, 48), slice(0, 48))
