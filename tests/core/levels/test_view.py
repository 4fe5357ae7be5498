"""A view gives what restoring gives, and computes no more than a switch needs."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest

from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.levels.view import LevelView
from simulated import TINY, simulate

EXACT = {"device": "cpu", "precision": "float32"}
SETS = [off for k in range(4) for off in combinations((1, 2, 3), k)]  # of four levels


@pytest.mark.parametrize("stabilised", [False, True])
@pytest.mark.parametrize("shape", [(48, 64), (37, 70)])
def test_any_set_of_levels_off_is_what_restoring_gives(make, ready, stabilised, shape):
    model = make(TINY.model_copy(update={"levels": 4}), stabilised=stabilised)
    counts = simulate(shape)
    view = LevelView(ready(model), counts)
    assert (1, 3) in SETS and (2,) in SETS
    for off in SETS:
        expected = model.restore(counts, "YX", samples=1, deactivated_levels=off, **EXACT).mean
        got = view.restored(off[::-1])
        np.testing.assert_allclose(got, expected, atol=1e-5 * float(np.ptp(expected)))


def test_a_switch_computes_only_what_lies_below_it(make, ready, monkeypatch):
    prepared = ready(make(TINY.model_copy(update={"levels": 4})))
    calls = []
    encode = prepared.network.encode

    def counted(*args):
        calls.append("encode")
        return encode(*args)

    monkeypatch.setattr(prepared.network, "encode", counted)
    for level, module in enumerate(prepared.network.top_down, 1):
        module.blocks.register_forward_hook(lambda *_, level=level: calls.append(level))
    view = LevelView(prepared, simulate((48, 64)))
    assert calls == ["encode"]
    steps = [((), [4, 3, 2, 1]), ((1,), [1]), ((1, 2), [2, 1]), ((2,), [1]), ((3,), [3, 2, 1]),
             ((3,), []), ((1, 3), [1])]  # fmt: skip
    for off, levels in steps:
        calls.clear()
        view.restored(off)
        assert calls == levels


def test_levels_that_cannot_be_switched_off(make, ready):
    view = LevelView(ready(make()), simulate((48, 64)))
    for off in [(3,), (1, 2, 3), (0,), (4,)]:
        with pytest.raises(ConfigurationError, match="level 3 has to stay on"):
            view.restored(off)
    assert np.isfinite(view.restored((1, 2))).all()


def test_threads_do_not_disturb_each_other(make, ready):
    view = LevelView(ready(make(TINY.model_copy(update={"levels": 4}))), simulate((64, 64)))
    expected = {off: view.restored(off) for off in SETS}
    wanted = SETS * 6
    with ThreadPoolExecutor(4) as pool:
        for off, image in zip(wanted, pool.map(view.restored, wanted), strict=True):
            np.testing.assert_array_equal(image, expected[off])
