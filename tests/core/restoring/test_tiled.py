"""Walking a plane tile by tile, with a restorer that gives back what it sees."""

import numpy as np
import pytest

from napari_hdn.core.devices import Device
from napari_hdn.core.events import Stop
from napari_hdn.core.restoring.tiled import Rows, TiledRestorer


class Identity(TiledRestorer):
    """Its memory holds so many pixels at a time."""

    def __init__(self, side=None, held=10**6, most=10**9):
        super().__init__(Device("cpu", "CPU", False), 8, 16)
        self.side, self.held, self.most = side, held, most
        self.seen = []

    def _sides(self, shape):
        return self.side, self.held

    def _curve(self, counts):
        return None

    def _seen(self, counts, curve, band):
        pad = [(0, -n % 8) for n in counts.shape]
        return np.pad(counts, pad)

    def _tile(self, seen, top, shape, tile, number, stop):
        image = seen[tile.y.start - top : tile.y.stop - top, tile.x]
        self.seen.append(image.shape)
        if image.size > self.most:
            raise MemoryError("no room")
        yield 1.0
        yield {"same": image[tile.crop], "two": np.stack([image[tile.crop]] * 2)}, None


def walked(restorer, image, stop=None):
    parts = list(restorer.plane(lambda ys, xs: image[ys, xs], image.shape, 0, stop or Stop()))
    return [p for p in parts if isinstance(p, float)], [p for p in parts if isinstance(p, Rows)]


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (100, 24), (64, 64)])
@pytest.mark.parametrize("choice", [{}, {"side": 16}, {"held": 24}, {"most": 3000}])
def test_a_plane_is_covered_once_whatever_the_tiles(size, choice):
    image = np.random.default_rng(0).random(size, np.float32)
    fractions, rows = walked(Identity(**choice), image)
    for product in ("same", "two"):
        whole = np.concatenate([r.planes[product] for r in rows], axis=-2)
        np.testing.assert_array_equal(whole, np.broadcast_to(image, whole.shape))
    assert [r.complete for r in rows] == [False] * (len(rows) - 1) + [True]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)


def test_short_memory_is_remembered():
    image = np.zeros((64, 64), np.float32)
    restorer = Identity(most=3000)
    walked(restorer, image)
    assert restorer.seen[0] == (64, 64) and max(map(np.prod, restorer.seen[1:])) < 64 * 64
    restorer.seen.clear()
    walked(restorer, image)
    assert max(map(np.prod, restorer.seen)) <= 3000  # at once, this time


def test_no_room_for_anything_is_told():
    with pytest.raises(MemoryError, match="no room"):
        walked(Identity(most=10), np.zeros((64, 64), np.float32))


def test_stop_gives_nothing_of_the_rows_that_were_begun():
    stop = Stop()
    stop.request()
    assert walked(Identity(side=16), np.zeros((64, 64), np.float32), stop)[1] == []
