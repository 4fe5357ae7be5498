"""All together, on a random network: what is done, what is kept when stopped, what is refused."""

import json

import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ConfigurationError, ImageError, StoppedEarly
from napari_hdn.core.events import Stop, TrustFinished, TrustProgress
from napari_hdn.core.noise.base import Clipping
from napari_hdn.core.trust.judge import judge
from simulated import simulate

FRAMES = simulate((6, 96, 96))


@pytest.fixture(autouse=True)
def _small_control(monkeypatch):
    monkeypatch.setattr("napari_hdn.core.trust.control.SIDE_PX", 64)


def run(model, counts=FRAMES[0], **how):
    events = list(judge(model, counts, samples=4, device="cpu", **how))
    assert isinstance(events[-1], TrustFinished)
    return events[-1].judgement, events


def test_all_that_was_asked_is_answered(model):
    found, events = run(model, repeats=ImageStack(FRAMES, "TYX", name="repeats"))
    assert found.prior.levels == 3 and len(found.control.flats) == 4
    assert found.spread.source == "repeats" and found.not_done == ()
    names = {c.name for c in found.checks}
    assert names == {
        "residuals", "residuals in places", "spread", "calibration", "pure noise", "trust map",
    }  # fmt: skip
    assert all(c.text and c.verdict in ("good", "doubtful", "bad") for c in found.checks)
    for image in (found.mean, found.std, found.noise, found.trust.trust, found.prior.share):
        assert image.shape == (96, 96)
    progress = [e for e in events if isinstance(e, TrustProgress)]
    fractions = [e.fraction for e in progress]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
    assert len({e.doing for e in progress}) == 4
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["calibration"]["factor"] == found.spread.factor


def test_the_same_seed_finds_the_same(model):
    a, b = run(model, seed=3)[0], run(model, seed=3)[0]
    np.testing.assert_array_equal(a.trust.trust, b.trust.trust)
    assert a.to_json() == b.to_json()
    assert run(model, seed=4)[0].to_json()["spread"] != a.to_json()["spread"]


def test_the_numbers_are_those_of_the_samples(model, drawing):
    found, _ = run(model)
    *_, drawn = drawing.draw(FRAMES[0], Stop())
    np.testing.assert_array_equal(found.mean, drawn.mean(axis=0))
    np.testing.assert_array_equal(found.std, drawn.std(axis=0, ddof=1))
    np.testing.assert_allclose(found.noise**2, np.maximum(2 * found.mean - 191, 5.0), rtol=1e-3)
    assert found.spread is None and found.factor == 1


def test_a_second_frame_is_compared(model):
    found, _ = run(model, second_frame=FRAMES[1])
    plain, _ = run(model)
    assert found.spread.source == "second_frame"
    plain_part, part = plain.trust.parts["spread"], found.trust.parts["spread"]
    expected = np.clip(1 - found.factor * (1 - plain_part), 0, 1)
    inside = plain_part > 0  # where it was not cut at 0 before
    np.testing.assert_allclose(part[inside], expected[inside], atol=1e-5)


def test_an_average_as_a_second_frame_changes_nothing(model):
    found, _ = run(model, second_frame=FRAMES[1:].mean(axis=0))
    plain, _ = run(model)
    np.testing.assert_array_equal(found.trust.trust, plain.trust.trust)
    checks = {c.name: c for c in found.checks}
    assert not found.spread.measured and found.factor == 1
    assert checks["calibration"].verdict == "doubtful"
    assert "could not be measured" in checks["calibration"].text
    assert "Multiply" not in checks["calibration"].advice
    assert "if the spread is right, which was not measured" in checks["spread"].text
    assert found.to_json()["spread"]["factor_used"] == 1


def stopped_when(model, doing, **how):
    stop, last = Stop(), None
    for event in judge(model, FRAMES[0], samples=4, device="cpu", stop=stop, **how):
        if isinstance(event, TrustProgress) and doing in event.doing:
            stop.request()
        last = event
    assert isinstance(last, TrustFinished)
    return last.judgement


def test_stopping_keeps_what_is_done_and_names_what_is_not(model):
    repeats = ImageStack(FRAMES, "TYX", name="repeats")
    found = stopped_when(model, "pure noise", repeats=repeats)
    assert found.not_done == ("control", "repeats")
    assert found.prior is not None and found.control is None and found.spread is None
    assert found.to_json()["not_done"] == ["control", "repeats"]
    found = stopped_when(model, "prior", repeats=repeats)
    assert found.not_done == ("prior", "control", "repeats") and found.trust.trust.shape == (96, 96)


def test_stopping_before_there_is_anything_says_so(model):
    with pytest.raises(StoppedEarly, match="nothing to judge by"):
        stopped_when(model, "drawing")


def test_levels_that_are_off_change_the_restoration(model):
    found, _ = run(model, off=(1,))
    assert found.prior.off == (1,) and found.settings.off == (1,)
    assert np.abs(found.mean - run(model)[0].mean).max() > 0
    assert found.structured and list(found.trust.parts) == ["spread"]
    told = {c.name: c for c in found.checks}
    assert "by right" in told["residuals"].text and "residuals in places" not in told


def test_a_noise_model_with_a_structure_is_known(model):
    model.noise_model.structured = True
    assert run(model)[0].structured


def test_saturated_pixels_have_no_trust(model):
    model.noise_model.clipping = Clipping(None, 400.0, 0.0)
    counts = FRAMES[0].copy()
    counts[10:60, 20:70] = 400
    found, _ = run(model, counts)
    assert np.isnan(found.trust.trust[10:60, 20:70]).all()
    (check,) = [c for c in found.checks if c.name == "cut off"]
    assert check.verdict == "bad" and check.value == pytest.approx((counts >= 400).mean())
    json.dumps(found.to_json(), allow_nan=False)


def test_an_image_out_of_the_trained_range_is_warned_of(model):
    found, _ = run(model, FRAMES[0] * 20)
    assert "trained on images from 100 to 350" in found.warnings[0]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (np.zeros((96, 96)), "are 0 counts: there is neither noise nor signal"),
        (np.full((96, 96), 7.0), "are 7 counts"),
        (FRAMES[0][:20, :40], "20 x 40 pixels are too few"),
        (np.zeros((64, 4096)), "too many at once"),
        (np.where(np.eye(96) > 0, np.nan, FRAMES[0]), "96 of 9216 pixels are NaN"),
    ],
)
def test_what_cannot_be_judged_is_refused(model, counts, words):
    with pytest.raises(ImageError, match=words):
        run(model, counts, name="cells")


def test_one_sample_has_no_spread(model):
    with pytest.raises(ConfigurationError, match="1 sample cannot tell"):
        next(judge(model, FRAMES[0], samples=1))


def test_both_repeats_and_a_second_frame_are_one_too_many(model):
    repeats = ImageStack(FRAMES, "TYX")
    with pytest.raises(ConfigurationError, match="not both"):
        run(model, repeats=repeats, second_frame=FRAMES[1])


def test_one_frame_as_repeats_is_refused_before_anything_is_drawn(model):
    with pytest.raises(ImageError, match="1 frame"):
        next(judge(model, FRAMES[0], repeats=ImageStack(FRAMES[:1], "TYX", name="one")))


def test_the_top_level_stays_on(model):
    with pytest.raises(ConfigurationError, match="level 3 has to stay on"):
        next(judge(model, FRAMES[0], off=(3,)))
