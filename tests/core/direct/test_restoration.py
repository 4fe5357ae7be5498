import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.restoration import DirectRestorer, restore_direct, tile_side
from napari_hdn.core.errors import ConfigurationError, ImageError, MemoryShortError
from napari_hdn.core.events import Notice, PlaneRestored, RestorationFinished, Stop
from simulated import simulate
from taught import direct_of

EXACT = {"device": "cpu", "precision": "float32"}


def planes(events) -> list[np.ndarray]:
    return [e.mean for e in events if isinstance(e, PlaneRestored)]


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
    found = {e.index: e.mean for e in events if isinstance(e, PlaneRestored)}
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
    stop = Stop()
    restorer = DirectRestorer(
        model, direct_of(model), RestorationConfig(tile_px=64, **EXACT), Device("cpu", "", False)
    )
    parts = restorer.plane(simulate((200, 64)), stop)
    assert next(parts) == pytest.approx(0.25)
    stop.request()
    assert list(parts) == []


def test_what_needs_samples_is_refused(model):
    stack = ImageStack(simulate((40, 24)), "YX")
    with pytest.raises(ConfigurationError, match="gives the median alone and knows no uncertainty"):
        list(
            restore_direct(
                model,
                direct_of(model, learns="median"),
                stack,
                RestorationConfig(samples=8, std=True),
            )
        )


def test_other_levels_and_wrong_pixels_are_refused(model):
    counts = simulate((3, 40, 24))
    with pytest.raises(ConfigurationError, match="level 1 shall be off"):
        config = RestorationConfig(deactivated_levels=(1,))
        list(restore_direct(model, direct_of(model), ImageStack(counts, "TYX"), config))
    counts[1, 0, 0] = np.inf
    events = restore_direct(model, direct_of(model), ImageStack(counts, "TYX"), RestorationConfig())
    done = []
    with pytest.raises(ImageError, match="plane 1: 1 of 960 pixels"):
        for event in events:
            done += [event] if isinstance(event, PlaneRestored) else []
    assert len(done) == 1


def test_another_range_is_told_once(model):
    stack = ImageStack(simulate((3, 40, 24)) * 100, "TYX", "bright")
    events = list(restore_direct(model, direct_of(model), stack, RestorationConfig(**EXACT)))
    (notice,) = [e for e in events if isinstance(e, Notice)]
    assert "bright runs from" in notice.text


def test_too_little_memory_is_told(model, monkeypatch):
    def short(self, image, autocast):
        raise RuntimeError("CUDA out of memory")

    student = direct_of(model)
    monkeypatch.setattr(type(student.network), "once", short)
    with pytest.raises(MemoryShortError, match=r"to restore image \(24 x 40 pixels\)"):
        list(
            restore_direct(
                model, student, ImageStack(simulate((40, 24)), "YX"), RestorationConfig()
            )
        )


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
