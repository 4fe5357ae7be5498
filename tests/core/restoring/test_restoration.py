import itertools
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import OUTPUTS, RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, ImageError, ImageLostError, MemoryShortError
from napari_hdn.core.events import (
    Notice,
    PlaneFailed,
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
from napari_hdn.core.restoring import restoration, tiling
from napari_hdn.core.restoring.restoration import range_remark, remarks, restore
from napari_hdn.core.restoring.restorer import Draw, Restorer, plan_draws
from simulated import TINY, network, run_to_end, simulate

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
    config = RestorationConfig(**EXACT, **fields)
    restorer = Restorer(model.network, model.normalisation, model.noise_model, config,
                        Device("cpu", "", False))  # fmt: skip
    restorer.draws = [Draw(key, sign)]
    return restorer.whole(image)["mean"]


def drawn(model, image, keys, **fields):
    return np.stack([draw(model, image, k, **fields) for k in keys]).astype(np.float64)


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


def test_all_outputs_are_those_of_independent_samples(model):
    image = simulate((32, 32))
    samples = drawn(model, image, range(7))
    config = {
        "outputs": OUTPUTS, "samples": 7, "quantiles": (0.1, 0.5, 1.0), "difference": (5, 2),
        "batch_size": 3,
    }  # fmt: skip
    got = model.restore(image, "YX", **config, **EXACT)
    pairs = [(samples[k] + draw(model, image, k, -1.0)) / 2 for k in (0, 1)]
    mean = np.mean(pairs, axis=0)
    std = samples.std(0, ddof=1)
    np.testing.assert_allclose(got.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(got.std, std, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(got.cv, std / mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(got.samples, samples, rtol=1e-5)
    np.testing.assert_allclose(got.median, np.median(samples, 0), rtol=1e-5)
    np.testing.assert_allclose(got.quantiles, np.quantile(samples, (0.1, 0.5, 1.0), 0), rtol=1e-5)
    np.testing.assert_allclose(got.difference, samples[4] - samples[1], atol=1e-3)
    assert got.map.shape == image.shape
    assert samples.min(0).min() <= got.map.min() and got.map.max() <= samples.max(0).max()


def test_without_the_mean_no_partners_are_drawn():
    draws = plan_draws(RestorationConfig(outputs=("std", "samples"), samples=5))
    assert [(d.key, d.sign, d.role) for d in draws] == [(k, 1.0, "single") for k in range(5)]


def test_results_do_not_depend_on_the_batch(model):
    image = simulate((32, 32))
    a, b = (
        model.restore(image, "YX", samples=6, outputs=("mean", "std"), batch_size=n, **EXACT)
        for n in (1, 4)
    )
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
    model.restore(simulate((32, 32)), "YX", samples=4, outputs=("mean", "std"))
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


def test_a_damaged_plane_is_told_and_the_others_are_restored(model):
    image = simulate((4, 32, 32))
    whole = model.restore(image, "TYX", **EXACT).mean
    image[2, 0, 0] = np.inf
    events = list(restore(model, ImageStack(image, "TYX"), RestorationConfig(**EXACT)))
    (failed,) = [e for e in events if isinstance(e, PlaneFailed)]
    assert failed.index == (2,) and "plane 2: 1 of 1024" in failed.reason
    assert [e.index for e in events if isinstance(e, PlaneRestored)] == [(0,), (1,), (3,)]
    assert (events[-1].planes, events[-1].total, events[-1].failed) == (3, 4, 1)
    with pytest.warns(UserWarning, match="plane 2: 1 of 1024"):
        got = model.restore(image, "TYX", **EXACT).mean
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(got[[0, 1, 3]], whole[[0, 1, 3]])


def test_a_plane_that_cannot_be_read_is_told(model):
    class Torn:
        shape, dtype = (3, 32, 32), np.dtype("float32")

        def __getitem__(self, key):
            if key[0] == 0:
                raise OSError("unexpected end of file")
            return simulate((32, 32))

    events = list(restore(model, ImageStack(Torn(), "TYX", "torn"), RestorationConfig(**EXACT)))
    (failed,) = [e for e in events if isinstance(e, PlaneFailed)]
    assert failed.reason == "torn, plane 0, could not be read: unexpected end of file"
    assert sum(isinstance(e, PlaneRestored) for e in events) == 2


def test_a_file_that_is_lost_ends_the_restoration_there(model):
    """The planes that are left are not damaged: they are to be restored another time."""
    counts = simulate((4, 24, 24))

    class Lost:
        shape, dtype, ndim = counts.shape, counts.dtype, 3

        def __getitem__(self, key):
            if key[0] == 2:
                raise ImageLostError("film.tif cannot be read any more.")
            return counts[key]

    done = []
    with pytest.raises(ImageLostError, match="any more"):
        for event in restore(model, ImageStack(Lost(), "TYX"), RestorationConfig(**EXACT)):
            assert not isinstance(event, PlaneFailed)
            done += [event.index] if isinstance(event, PlaneRestored) else []
    assert done == [(0,), (1,)]


def test_where_no_plane_can_be_restored_nothing_is(model):
    image = simulate((2, 32, 32))
    image[:, 0, 0] = np.nan
    with pytest.raises(ImageError, match="plane 1: 1 of 1024"):
        list(restore(model, ImageStack(image, "TYX"), RestorationConfig(**EXACT)))


def test_an_all_zero_plane(model):
    with pytest.warns(UserWarning, match="All pixels of image are 0: a lost frame"):
        got = model.restore(
            np.zeros((32, 32), np.float32), "YX", outputs=OUTPUTS, samples=4, **EXACT
        )
    for product in ("mean", "std", "median", "map", "quantiles", "samples", "difference"):
        assert np.isfinite(getattr(got, product)).all(), product


def test_how_near_the_mean_is_to_its_limit_is_told(model):
    image = simulate((2, 32, 32))
    config = RestorationConfig(outputs=("mean", "std"), samples=6, **EXACT)
    *_, last = restore(model, ImageStack(image, "TYX"), config)
    singles = np.stack([drawn(model, image[0], range(6)).var(0, ddof=1)])
    assert last.spread.samples == 6 and last.spread.pairs == 2
    assert last.spread.single == pytest.approx(singles.mean(), rel=0.5)
    for few in ({}, {"samples": 1, "flips": True}):
        *_, last = restore(model, ImageStack(image, "TYX"), RestorationConfig(**few, **EXACT))
        assert last.spread is None
    config = RestorationConfig(samples=12, **EXACT)
    *_, last = restore(model, ImageStack(image, "TYX"), config)
    pairs = [(draw(model, image[0], k) + draw(model, image[0], k, -1.0)) / 2 for k in range(6)]
    assert last.spread.pairs == 6
    assert last.spread.pair == pytest.approx(np.var(pairs, axis=0, ddof=1).mean(), rel=0.5)
    assert last.spread.excess < last.spread.single / 12  # where independent samples would be


def test_channels_that_a_model_has_not_learned_from_are_told(model):
    model.config = model.config.model_copy(update={"channel": 1})
    image = simulate((2, 32, 32))
    said = {}
    for channel in (None, 0, 1):
        config = RestorationConfig(channel=channel, **EXACT)
        events = restore(model, ImageStack(image, "CYX", "both"), config)
        said[channel] = [e.text for e in events if isinstance(e, Notice)]
    assert "learned from channel 1 alone, but all channels of both" in said[None][0]
    assert "but channel 0 of both" in said[0][0] and said[1] == []


def test_a_model_whose_training_was_cut_off_is_told(stack, tiny_config):
    trained = run_to_end([stack], tiny_config)[0].model
    assert remarks(trained, stack) == []
    parts = (trained.summary.parts[-1].model_copy(update={"ended": "cut"}),)
    summary = trained.summary.model_copy(update={"parts": parts})
    (told,) = remarks(replace(trained, summary=summary), stack)
    assert f"by step {tiny_config.steps:,}, when it was saved last" in told


def huge(monkeypatch, pixels=1000, kept=5e4):
    monkeypatch.setattr(restoration, "HUGE_PX", pixels)
    monkeypatch.setattr(tiling, "MOST_KEPT_BYTES", kept)


@pytest.mark.parametrize("flips", [False, True])
def test_huge_planes_are_read_and_given_away_some_rows_at_a_time(model, monkeypatch, flips):
    image = simulate((330, 70))
    config = {"outputs": OUTPUTS, "samples": 5, "flips": flips, **EXACT}
    whole = model.restore(image, "YX", **config)
    huge(monkeypatch)
    events = list(restore(model, ImageStack(image, "YX"), RestorationConfig(**config)))
    parts = [e for e in events if isinstance(e, PlaneRestored)]
    assert len(parts) > 3 and [e.complete for e in parts] == [False] * (len(parts) - 1) + [True]
    assert [e.rows.start for e in parts] == [0, *(e.rows.stop for e in parts[:-1])]
    got = model.restore(image, "YX", **config)
    for output in OUTPUTS:
        a, b = getattr(got, output), getattr(whole, output)
        assert np.abs(a - b).max() < 0.01 * np.ptp(b), output


def test_a_huge_plane_is_never_read_whole(model, monkeypatch):
    huge(monkeypatch)
    reads = []

    class Lazy:
        shape, dtype = (640, 70), np.dtype("float32")

        def __getitem__(self, key):
            piece = np.broadcast_to(simulate((640, 70)), self.shape)[key]
            reads.append(piece.shape[0])
            return piece

    config = RestorationConfig(outputs=("mean", "samples"), samples=5, **EXACT)
    list(restore(model, ImageStack(Lazy(), "YX"), config))
    assert max(reads[2:]) <= 64 + 2 * 64  # two looks at its middle, for its range and its noise


class ShortMemory(Restorer):
    """Memory that holds only so many pixels at a time."""

    most = 10**9
    tries: ClassVar[list] = []

    def _decode(self, features, batch, noise, corner):
        signal = super()._decode(features, batch, noise, corner)
        self.tries.append((len(batch), signal.shape[-1]))
        if signal.numel() > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return signal


@pytest.mark.parametrize("outputs", [("mean",), OUTPUTS])
def test_short_memory_is_answered_by_fewer_samples_and_smaller_tiles(model, monkeypatch, outputs):
    image = simulate((300, 400))
    config = {"outputs": outputs, "samples": 4, **EXACT}
    whole = model.restore(image, "YX", **config)
    monkeypatch.setattr(restoration, "Restorer", ShortMemory)
    monkeypatch.setattr(ShortMemory, "most", 90_000)
    monkeypatch.setattr(ShortMemory, "tries", [])
    got = model.restore(image, "YX", **config)
    first = [b for b, _ in ShortMemory.tries[:4]]
    assert first == sorted(first, reverse=True) and first[-1] == 1  # then the tile
    assert min(x for _, x in ShortMemory.tries) < 400
    for output in outputs:
        a, b = getattr(got, output), getattr(whole, output)
        assert np.abs(a - b).max() < 0.01 * np.ptp(b), output


def test_memory_that_is_too_short_for_any_tile_is_told(model, monkeypatch):
    monkeypatch.setattr(restoration, "Restorer", ShortMemory)
    monkeypatch.setattr(ShortMemory, "most", 100)
    with pytest.raises(MemoryShortError, match="not even in small tiles"):
        model.restore(simulate((100, 100)), "YX", **EXACT)


def test_stop_in_the_middle_of_a_huge_plane_keeps_its_rows(model, monkeypatch):
    huge(monkeypatch)
    stop, rows = Stop(), []
    config = RestorationConfig(outputs=("mean", "samples"), samples=5, **EXACT)
    for event in restore(model, ImageStack(simulate((330, 70)), "YX"), config, stop=stop):
        if isinstance(event, PlaneRestored):
            rows.append(event.rows)
            stop.request()
    assert len(rows) == 1 and rows[0].start == 0
    assert event == RestorationFinished(0, 1, True, event.spread)


@pytest.mark.parametrize("change", [lambda x: x * 100, lambda x: x / 65535, lambda x: x - 5000])
def test_a_range_far_outside_is_told_with_numbers(model, change):
    image = change(simulate((1, 32, 32)))
    notices = [
        e for e in restore(model, ImageStack(image, "TYX", "odd"), RestorationConfig(**EXACT))
        if isinstance(e, Notice)
    ]  # fmt: skip
    assert len(notices) == 1 and notices[0].severity == "warning"
    assert "odd, plane 0, runs from" in notices[0].text and "from 100 to 350" in notices[0].text


def test_a_usual_range_is_not(model):
    assert range_remark(model, simulate((64, 64)), "usual") == ""


def test_draws():
    assert [d.sign for d in plan_draws(RestorationConfig(samples=4))] == [1, -1, 1, -1]
    assert [d.key for d in plan_draws(RestorationConfig(samples=4))] == [0, 0, 1, 1]
    beside = plan_draws(RestorationConfig(samples=5, outputs=("mean", "std")))
    independent = [d for d in beside if d.role != "partner"]
    assert {d.sign for d in independent} == {1.0} and len({d.key for d in independent}) == 5
    partners = [d for d in beside if d.role == "partner"]
    assert [(d.key, d.sign) for d in partners] == [(0, -1.0), (1, -1.0)]
    assert [d.key for d in beside if d.role == "first"] == [0, 1]
    assert [d.role for d in plan_draws(RestorationConfig(samples=3))] == [
        "first",
        "partner",
        "first",
    ]
    assert [d.role for d in plan_draws(RestorationConfig(samples=1))] == ["centre"]
    turned = plan_draws(RestorationConfig(samples=2, flips=True))
    assert len(turned) == 8 and len({(d.key, d.orientation) for d in turned}) == 4
    turned = plan_draws(RestorationConfig(samples=6, outputs=("mean", "std"), flips=True))
    assert {d.orientation for d in turned if d.role == "partner"} == {0, 1, 2, 3}


def test_all_orders_of_axes_are_accepted(model):
    image = simulate((2, 12, 16))
    for axes in map("".join, itertools.permutations("TYX")):
        shape = tuple({"T": 2, "Y": 12, "X": 16}[a] for a in axes)
        assert model.restore(image.reshape(shape), axes, samples=1, **EXACT).mean.shape == shape


def test_planes_that_are_done_are_skipped_and_the_others_come_out_the_same(model):
    stack = ImageStack(simulate((4, 40, 48), seed=3), "TYX")
    config = RestorationConfig(samples=3, outputs=("mean", "samples"), **EXACT)

    def planes(done=()):
        events = list(restore(model, stack, config, done=done))
        assert (events[-1].planes, events[-1].total) == (4, 4)
        return {e.index: e.planes for e in events if isinstance(e, PlaneRestored)}

    whole, rest = planes(), planes(frozenset({(0,), (2,)}))
    assert set(rest) == {(1,), (3,)}
    for index, made in rest.items():
        for product, pixels in made.items():
            np.testing.assert_array_equal(pixels, whole[index][product])
