import itertools

import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, ImageError
from napari_hdn.core.events import (
    Notice,
    PlaneRestored,
    RestorationFinished,
    RestorationProgress,
    Stop,
)
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoration import Draw, Restorer, plan_draws, range_remark, restore
from simulated import TINY, network, simulate

EXACT = {"device": "cpu", "precision": "float32"}


@pytest.fixture(params=[False, True], ids=["plain", "stabilised"])
def model(request, tiny_config):
    summary = TrainingSummary(
        version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=100, data_high=350,
    )  # fmt: skip
    normalisation = Normalisation(20.0, 4.0, True) if request.param else Normalisation(220.0, 60.0)
    noise_model = PoissonGaussian([2.0], [-190.0], [5.0])
    return HDN(tiny_config, network(), noise_model, normalisation, summary)


def draw(model, image, key, sign=1.0, **fields):
    """One sample as the restorer draws it, in counts."""
    config = RestorationConfig(samples=3, std=True, **EXACT, **fields)
    restorer = Restorer(model.network, model.normalisation, model.noise_model, config,
                        Device("cpu", "", False))  # fmt: skip
    restorer.draws = [Draw(key, sign)]
    restorer.config = config.model_copy(update={"std": False})
    *_, (mean, _) = restorer.plane(image, 0, Stop())
    return mean


@pytest.mark.filterwarnings("ignore:.* runs from")  # a single pixel has no range
@pytest.mark.parametrize("shape", [(16, 16), (17, 64), (64, 5), (3, 30), (1, 1)])
def test_any_size(model, shape):
    restored = model.restore(simulate(shape), "YX", **EXACT)
    assert restored.mean.shape == shape and restored.mean.dtype == np.float32
    assert np.isfinite(restored.mean).all() and restored.std is None


def test_levels_that_were_never_trained_stay_off():
    ladder = Ladder(TINY.model_copy(update={"levels": 3, "deactivated_levels": (1,)}))
    for off, expected in [(None, (1,)), ((), (1,)), ((2,), (1, 2)), ((1, 2), (1, 2))]:
        config = RestorationConfig(deactivated_levels=off)
        restorer = Restorer(
            ladder, Normalisation(0, 1), Gaussian(1.0), config, Device("cpu", "", False)
        )
        choices = ladder.choices("sample", restorer.off)
        assert tuple(i for i, c in enumerate(choices, 1) if c == "prior_mean") == expected


def test_one_sample_is_the_mean_of_all_levels(model):
    image = simulate((32, 32))
    curve = model.noise_model.curve() if model.normalisation.stabilised else None
    with torch.no_grad():
        x = model.normalisation.apply(torch.from_numpy(image)[None, None], curve)
        decoded = model.network.decode(model.network.encode(x), ["mean", "mean"], None)
        expected = model.normalisation.invert(decoded.signal, curve)[0, 0]
    got = model.restore(image, "YX", samples=1, **EXACT).mean
    np.testing.assert_allclose(got, expected.numpy(), rtol=2e-5)


def test_default_is_one_antithetic_pair(model):
    image = simulate((32, 32))
    pair = [draw(model, image, 0, sign) for sign in (1.0, -1.0)]
    assert np.abs(pair[0] - pair[1]).max() > 0.1
    np.testing.assert_allclose(
        model.restore(image, "YX", **EXACT).mean, np.mean(pair, axis=0), rtol=1e-5
    )


def test_mean_and_std_are_those_of_independent_samples(model):
    image = simulate((32, 32))
    samples = np.stack([draw(model, image, k) for k in range(7)]).astype(np.float64)
    got = model.restore(image, "YX", samples=7, std=True, batch_size=3, **EXACT)
    np.testing.assert_allclose(got.mean, samples.mean(0), rtol=1e-5)
    np.testing.assert_allclose(got.std, samples.std(0, ddof=1), rtol=1e-3, atol=1e-3)


def test_results_do_not_depend_on_the_batch(model):
    image = simulate((32, 32))
    a, b = (model.restore(image, "YX", samples=6, std=True, batch_size=n, **EXACT) for n in (1, 4))
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5)
    np.testing.assert_allclose(a.std, b.std, rtol=1e-3, atol=1e-3)


def test_tiled_samples_are_those_of_the_whole_plane(model):
    """A tile takes its crop of the image's noise; with this halo only rounding differs."""
    image = simulate((200, 330))
    whole = model.restore(image, "YX", **EXACT).mean
    tiled = model.restore(image, "YX", tile_px=64, **EXACT).mean
    np.testing.assert_allclose(tiled, whole, atol=0.005 * float(np.ptp(whole)))
    sample = draw(model, image, 5)
    np.testing.assert_allclose(
        draw(model, image, 5, tile_px=64), sample, atol=0.005 * float(np.ptp(sample))
    )


def test_flips_are_the_mean_over_four_orientations(model):
    image = simulate((32, 32))
    expected = np.mean(
        [
            np.flip(model.restore(np.flip(image, axes).copy(), "YX", samples=1, **EXACT).mean, axes)
            for axes in ((), (1,), (0,), (0, 1))
        ],
        axis=0,
    )
    got = model.restore(image, "YX", samples=1, flips=True, **EXACT).mean
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    tiled = model.restore(image, "YX", samples=1, flips=True, tile_px=64, **EXACT).mean
    np.testing.assert_allclose(tiled, expected, rtol=1e-5)


def test_switched_off_levels_take_the_prior_mean(model):
    image = simulate((32, 32))
    curve = model.noise_model.curve() if model.normalisation.stabilised else None
    with torch.no_grad():
        x = model.normalisation.apply(torch.from_numpy(image)[None, None], curve)
        decoded = model.network.decode(model.network.encode(x), ["prior_mean", "mean"], None)
        expected = model.normalisation.invert(decoded.signal, curve)[0, 0]
    got = model.restore(image, "YX", samples=1, deactivated_levels=(1,), **EXACT).mean
    np.testing.assert_allclose(got, expected.numpy(), rtol=2e-5)
    with pytest.raises(ConfigurationError, match="Level 2 cannot be switched off"):
        model.restore(image, "YX", deactivated_levels=(2,), **EXACT)


def test_samples_in_inference_leave_the_model_alone(model):
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    model.restore(simulate((32, 32)), "YX", samples=4, std=True)
    assert all(torch.equal(v, before[k]) for k, v in model.network.state_dict().items())


@pytest.mark.parametrize("axes", ["TCYX", "XYCT", "CTXY"])
def test_results_lie_where_the_input_lies(model, axes):
    reference = simulate((2, 2, 20, 24))  # TCYX
    order = ["TCYX".index(a) for a in axes]
    expected = model.restore(reference, "TCYX", **EXACT).mean.transpose(order)
    got = model.restore(reference.transpose(order), axes, **EXACT).mean
    assert got.shape == reference.transpose(order).shape
    if axes == "CTXY":  # planes are walked in another order, so their noise differs
        got = model.restore(reference.transpose(order), axes, samples=1, **EXACT).mean
        expected = model.restore(reference, "TCYX", samples=1, **EXACT).mean.transpose(order)
    if axes == "XYCT":
        expected = model.restore(reference, "TCYX", samples=1, **EXACT).mean.transpose(order)
        got = model.restore(reference.transpose(order), axes, samples=1, **EXACT).mean
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_one_channel(model):
    image = simulate((2, 3, 20, 24))
    got = model.restore(image, "TCYX", channel=1, samples=1, **EXACT).mean
    whole = model.restore(image, "TCYX", samples=1, **EXACT).mean
    np.testing.assert_array_equal(got, whole[:, 1])


def test_planes_are_read_one_at_a_time_as_they_are_asked_for(model):
    reads = []

    class Lazy:
        shape, dtype = (5, 32, 32), np.dtype("float32")

        def __getitem__(self, key):
            reads.append(key[0])
            return simulate((32, 32), seed=key[0])

    events = restore(model, ImageStack(Lazy(), "TYX"), RestorationConfig(**EXACT))
    planes = (e for e in events if isinstance(e, PlaneRestored))
    assert next(planes).index == (0,) and reads == [0]
    assert next(planes).index == (1,) and reads == [0, 1]


def test_stop_keeps_the_planes_that_are_done(model):
    stop = Stop()
    events = []
    for event in restore(
        model, ImageStack(simulate((5, 32, 32)), "TYX"), RestorationConfig(**EXACT), stop=stop
    ):
        events.append(event)
        if isinstance(event, PlaneRestored) and event.index == (1,):
            stop.request()
    assert sum(isinstance(e, PlaneRestored) for e in events) == 2
    assert events[-1] == RestorationFinished(2, 5, stopped=True)


def test_progress_ends_at_one(model):
    events = list(
        restore(model, ImageStack(simulate((2, 32, 32)), "TYX"), RestorationConfig(**EXACT))
    )
    fractions = [e.fraction for e in events if isinstance(e, RestorationProgress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert events[-1] == RestorationFinished(2, 2, stopped=False)


def test_nan_is_refused_with_its_plane(model):
    image = simulate((3, 32, 32))
    image[2, 0, 0] = np.inf
    with pytest.raises(ImageError, match="plane 2: 1 of 1024"):
        model.restore(image, "TYX", **EXACT)


@pytest.mark.parametrize("change", [lambda x: x * 100, lambda x: x / 65535, lambda x: x - 5000])
def test_a_range_far_outside_is_told_with_numbers(model, change):
    image = change(simulate((1, 32, 32)))
    notices = [
        e for e in restore(model, ImageStack(image, "TYX", "odd"), RestorationConfig(**EXACT))
        if isinstance(e, Notice)
    ]  # fmt: skip
    assert len(notices) == 1 and notices[0].severity == "warning"
    assert "odd runs from" in notices[0].text and "from 100 to 350" in notices[0].text


def test_a_usual_range_is_not(model):
    assert range_remark(model, simulate((64, 64)), "usual") == ""


def test_draws():
    assert [d.sign for d in plan_draws(RestorationConfig(samples=4))] == [1, -1, 1, -1]
    assert [d.key for d in plan_draws(RestorationConfig(samples=4))] == [0, 0, 1, 1]
    independent = plan_draws(RestorationConfig(samples=5, std=True))
    assert {d.sign for d in independent} == {1.0} and len({d.key for d in independent}) == 5
    turned = plan_draws(RestorationConfig(samples=2, flips=True))
    assert len(turned) == 8 and len({(d.key, d.orientation) for d in turned}) == 4


def test_all_orders_of_axes_are_accepted(model):
    image = simulate((2, 12, 16))
    for axes in map("".join, itertools.permutations("TYX")):
        shape = tuple({"T": 2, "Y": 12, "X": 16}[a] for a in axes)
        assert model.restore(image.reshape(shape), axes, samples=1, **EXACT).mean.shape == shape
