import numpy as np
import pytest

from napari_hdn.core.tiling import halo_px, padded_size, plan_tiles, tile_side
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
