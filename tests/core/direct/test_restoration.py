import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.direct import restoration as direct_restoration
from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.network import DirectNetwork
from napari_hdn.core.direct.restoration import DirectRestorer, restore_direct, tile_side
from napari_hdn.core.errors import ConfigurationError, MemoryShortError
from napari_hdn.core.events import (
    Notice,
    PlaneFailed,
    PlaneRestored,
    RestorationFinished,
    Stop,
)
from napari_hdn.core.restoring import restoration
from napari_hdn.core.restoring.tiled import Rows
from simulated import simulate
from taught import direct_of

EXACT = {"device": "cpu", "precision": "float32"}


def planes(events) -> list[np.ndarray]:
    """Whole planes, put together from their rows."""
    found: list[list[np.ndarray]] = [[]]
    for event in events:
        if isinstance(event, PlaneRestored):
            found[-1].append(event.planes["mean"])
            if event.complete:
                found.append([])
    return [np.concatenate(rows) for rows in found if rows]


def test_a_plane_is_one_pass_between_the_models_units(model):
    student = direct_of(model)
    counts = simulate((48, 32))
    (made,) = planes(
        restore_direct(model, student, ImageStack(counts, "YX"), RestorationConfig(**EXACT))
    )
    curve = model.noise_model.curve()
    image = model.normalisation.apply(torch.from_numpy(counts), curve)
    with torch.no_grad():
        expected = model.normalisation.invert(student.network(image[None, None])[0, 0], curve)
    np.testing.assert_allclose(made, expected.numpy(), rtol=1e-5)
    assert made.dtype == np.float32


@pytest.mark.filterwarnings("ignore:.* runs from")
@pytest.mark.parametrize("shape", [(17, 64), (64, 5), (3, 30), (1, 1)])
def test_any_size(model, shape):
    student = direct_of(model, unshuffle=4)
    stack = ImageStack(simulate(shape), "YX")
    (made,) = planes(restore_direct(model, student, stack, RestorationConfig(**EXACT)))
    assert made.shape == shape and np.isfinite(made).all()


def test_tiles_leave_no_seam(model):
    student = direct_of(model, unshuffle=2)
    stack = ImageStack(simulate((200, 150)), "YX")
    (whole,) = planes(restore_direct(model, student, stack, RestorationConfig(**EXACT)))
    config = RestorationConfig(tile_px=64, **EXACT)
    (tiled,) = planes(restore_direct(model, student, stack, config))
    np.testing.assert_allclose(tiled, whole, rtol=1e-5)


def test_stacks_of_any_axes_are_walked(model):
    student = direct_of(model)
    counts = simulate((2, 3, 40, 24))
    stack = ImageStack(counts.transpose(0, 3, 2, 1), "TXYC")
    events = list(restore_direct(model, student, stack, RestorationConfig(channel=1, **EXACT)))
    found = {e.index: e.planes["mean"] for e in events if isinstance(e, PlaneRestored)}
    assert set(found) == {(0,), (1,)}
    one = ImageStack(counts[1, 1], "YX")
    (expected,) = planes(restore_direct(model, student, one, RestorationConfig(**EXACT)))
    np.testing.assert_array_equal(found[1,], expected)
    assert events[-1] == RestorationFinished(2, 2, stopped=False)


def test_stop_keeps_whole_planes(model):
    stop, seen = Stop(), []
    stack = ImageStack(simulate((5, 40, 24)), "TYX")
    for event in restore_direct(
        model, direct_of(model), stack, RestorationConfig(**EXACT), stop=stop
    ):
        seen.append(event)
        if isinstance(event, PlaneRestored) and event.index == (1,):
            stop.request()
    assert len(planes(seen)) == 2 and seen[-1] == RestorationFinished(2, 5, stopped=True)


def test_stop_within_a_plane_leaves_that_out(model):
    stop, counts = Stop(), simulate((200, 64))
    restorer = DirectRestorer(
        model, direct_of(model), RestorationConfig(tile_px=64, **EXACT), Device("cpu", "", False)
    )
    parts = restorer.plane(lambda ys, xs: counts[ys, xs], counts.shape, 0, stop)
    assert next(parts) == pytest.approx(64 / 200)
    stop.request()
    assert [p.complete for p in parts if isinstance(p, Rows)] == [False]


@pytest.mark.parametrize("outputs", [("mean", "std"), ("median",), ("samples",)])
def test_what_it_does_not_give_is_refused(model, outputs):
    stack = ImageStack(simulate((40, 24)), "YX")
    with pytest.raises(ConfigurationError, match="gives the mean alone, in one pass, and knows no"):
        list(restore_direct(model, direct_of(model), stack, RestorationConfig(outputs=outputs)))


def test_flips_are_refused(model):
    stack = ImageStack(simulate((40, 24)), "YX")
    with pytest.raises(ConfigurationError, match="Restore without flips"):
        list(restore_direct(model, direct_of(model), stack, RestorationConfig(flips=True)))


def test_a_median_is_called_so(model):
    stack = ImageStack(simulate((40, 24)), "YX")
    student, config = direct_of(model, learns="median"), RestorationConfig(outputs=("median",))
    (made,) = (
        e for e in restore_direct(model, student, stack, config) if isinstance(e, PlaneRestored)
    )
    assert set(made.planes) == {"median"} and made.complete


def test_other_levels_are_refused_and_damaged_planes_left_out(model):
    counts = simulate((3, 40, 24))
    with pytest.raises(ConfigurationError, match="level 1 shall be off"):
        config = RestorationConfig(deactivated_levels=(1,))
        list(restore_direct(model, direct_of(model), ImageStack(counts, "TYX"), config))
    counts[1, 0, 0] = np.inf
    events = list(
        restore_direct(model, direct_of(model), ImageStack(counts, "TYX"), RestorationConfig())
    )
    (failed,) = (e for e in events if isinstance(e, PlaneFailed))
    assert failed.index == (1,) and "1 of 960 pixels" in failed.reason
    assert len(planes(events)) == 2
    assert events[-1] == RestorationFinished(2, 3, False, None, failed=1)


def test_another_range_is_told_once(model):
    stack = ImageStack(simulate((3, 40, 24)) * 100, "TYX", "bright")
    events = list(restore_direct(model, direct_of(model), stack, RestorationConfig(**EXACT)))
    told, notice = [e for e in events if isinstance(e, Notice)]
    assert "Restored in one pass by the direct network" in told.text
    assert "bright, plane 0, runs from" in notice.text


class Short:
    """Memory for tiles of so many pixels only; each pass is remembered."""

    def __init__(self, monkeypatch, most: int) -> None:
        self.passes: list[int] = []
        real = DirectNetwork.once

        def once(network, image, autocast):
            if image.numel() > most:
                raise RuntimeError("CUDA out of memory")
            self.passes.append(image.numel())
            return real(network, image, autocast)

        monkeypatch.setattr(DirectNetwork, "once", once)


def test_where_memory_is_short_tiles_get_smaller_and_nothing_else(model, monkeypatch):
    student = direct_of(model, unshuffle=2)
    stack = ImageStack(simulate((2, 300, 260)), "TYX")
    config = RestorationConfig(**EXACT)
    whole = planes(restore_direct(model, student, stack, config))
    short = Short(monkeypatch, 40_000)
    tiled = planes(restore_direct(model, student, stack, config))
    np.testing.assert_allclose(tiled, whole, rtol=1e-5)
    assert len(short.passes) == 8 and max(short.passes) <= 40_000


def test_too_little_memory_even_for_small_tiles_is_told(model, monkeypatch):
    Short(monkeypatch, 10)
    stack = ImageStack(simulate((40, 24)), "YX")
    with pytest.raises(MemoryShortError, match=r"to restore image \(24 x 40 pixels\), not even in"):
        list(restore_direct(model, direct_of(model), stack, RestorationConfig()))


def test_huge_planes_are_read_and_given_away_some_rows_at_a_time(model, monkeypatch):
    student = direct_of(model, unshuffle=2)
    stack = ImageStack(simulate((300, 90)), "YX")
    config = RestorationConfig(**EXACT)
    (whole,) = planes(restore_direct(model, student, stack, config))
    monkeypatch.setattr(restoration, "HUGE_PX", 1000)
    monkeypatch.setattr(direct_restoration, "side_for_samples", lambda *a: 64)
    events = list(restore_direct(model, student, stack, config))
    rows = [e.rows for e in events if isinstance(e, PlaneRestored)]
    assert [(r.start, r.stop) for r in rows] == [
        (0, 64),
        (64, 128),
        (128, 192),
        (192, 256),
        (256, 300),
    ]
    (made,) = planes(events)
    np.testing.assert_allclose(made, whole, rtol=1e-5)


def test_the_direct_network_in_hand_stays_as_it_is(model):
    student = direct_of(model)
    before = {k: v.clone() for k, v in student.network.state_dict().items()}
    stack = ImageStack(simulate((40, 24)), "YX")
    list(restore_direct(model, student, stack, RestorationConfig()))
    after = student.network.state_dict()
    assert all(torch.equal(after[k], v) and v.dtype == after[k].dtype for k, v in before.items())


def test_planes_that_do_not_fit_in_memory_get_tiles():
    config = DirectNetworkConfig(unshuffle=2, widths=(32, 48, 64))
    assert tile_side((512, 512), config, 8e9) is None
    side = tile_side((20_000, 20_000), config, 8e9)
    assert side is not None and side % config.multiple == 0
    seen = (side + 2 * config.reach_px) ** 2
    assert 4 * 8 * 32 / 4 * seen <= 0.4 * 8e9
    assert tile_side((20_000, 20_000), config, 1e6) == 4 * config.multiple
