import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.calibrate import calibrate
from napari_hdn.core.calibration.record import Calibration
from napari_hdn.core.config import CalibrationConfig
from napari_hdn.core.errors import ImageError, NoiseModelError, StoppedEarly
from napari_hdn.core.events import CalibrationFinished, CalibrationProgress, Stop
from napari_hdn.core.noise.base import noise_model_from_json, noise_model_to_json
from simulated import counts, scene, true_variance


def stack(array, name="cells"):
    return ImageStack(array, "TYX"[-array.ndim :], name)


def calibrated(array, source="auto", **choices):
    inputs = {k: stack(choices.pop(k), k) for k in ("dark", "clean") if k in choices}
    if "meant_for" in choices:
        inputs["meant_for"] = [stack(choices.pop("meant_for"), "target")]
    *_, last = calibrate([stack(array)], CalibrationConfig(source=source, **choices), **inputs)
    assert isinstance(last, CalibrationFinished)
    return last.calibration


def verdicts(calibration):
    return {check.name: check.verdict for check in calibration.checks}


def within(model, photons, true, tolerance, to_counts=lambda s: 2 * s + 100):
    s = np.linspace(*np.percentile(photons, [1, 99]), 20)
    np.testing.assert_allclose(model.variance_curve(to_counts(s)), true(s), rtol=tolerance)


@pytest.mark.parametrize("kind", ["poisson_gaussian", "gmm", "histogram"])
def test_repeats_recover_the_variance_within_3_percent_whatever_the_model(kind):
    rng = np.random.default_rng(0)
    photons = scene(rng)
    calibration = calibrated(counts(rng, photons, frames=30), "repeats", model=kind)
    assert calibration.noise_model.kind == kind and calibration.source == "repeats"
    within(calibration.noise_model, photons, true_variance, 0.03)
    assert verdicts(calibration)["fit"] == "good"


@pytest.mark.parametrize("seed", range(3))
def test_single_images_recover_it_within_10_percent(seed):
    rng = np.random.default_rng(seed)
    photons = scene(rng, 512)
    calibration = calibrated(counts(rng, photons)[0])
    assert calibration.source == "images"
    within(calibration.noise_model, photons, true_variance, 0.1)
    assert verdicts(calibration)["processing"] == "good"


def test_gaussian_noise():
    rng = np.random.default_rng(1)
    clean = 10 * scene(rng)
    repeats = calibrated((clean + rng.normal(0, 7, (20, 256, 256))).astype(np.float32), "repeats")
    within(repeats.noise_model, 10 * scene(rng), lambda s: 49 + 0 * s, 0.03, lambda s: s)
    known = calibrated(
        (clean + rng.normal(0, 7, (20, 256, 256))).astype(np.float32), "repeats", model="gaussian"
    )
    assert float(known.noise_model.sigma) == pytest.approx(7, rel=0.01)
    alone = calibrated((clean + rng.normal(0, 7, clean.shape)).astype(np.float32))
    within(alone.noise_model, clean, lambda s: 49 + 0 * s, 0.1, lambda s: s)


def test_multiplied_electrons():
    """EMCCD-like: the gain is random itself, and the noise has a tail."""
    rng = np.random.default_rng(2)
    photons = scene(rng, 320) / 8 + 1
    electrons = rng.gamma(rng.poisson(photons, (40, 320, 320)), 10.0)
    frames = (electrons + rng.normal(500, 4, electrons.shape)).astype(np.float32)

    def true(s):
        return 2 * 100 * s + 16  # of a gamma distribution whose shape is Poisson

    line, mixture = (
        calibrated(frames, "repeats", model=kind) for kind in ("poisson_gaussian", "gmm")
    )
    for made in (line, mixture):
        within(made.noise_model, photons, true, 0.03, lambda s: 10 * s + 500)
    off = [next(c.value for c in made.checks if c.name == "fit") for made in (line, mixture)]
    assert off[1] < 0.6 * off[0], "the mixture has the tail, too"
    alone = calibrated(frames[0], "images")
    within(alone.noise_model, photons, true, 0.1, lambda s: 10 * s + 500)


def test_a_mixture_is_taken_by_itself_where_a_line_does_not_fit():
    rng = np.random.default_rng(15)
    frames = 5 * scene(rng) + rng.uniform(-40, 40, (20, 256, 256))
    auto = calibrated(frames.astype(np.float32), "repeats")
    assert auto.noise_model.kind == "gmm" and any("does better" in r for r in auto.remarks)


def test_eight_bits_an_offset_and_saturation():
    rng = np.random.default_rng(3)
    photons = scene(rng, 384)
    frames = counts(rng, photons, frames=20)
    top = np.quantile(frames, 0.99)
    eight = np.round(np.minimum(frames, top) / top * 255).astype(np.uint8)
    scale = 255 / top
    calibration = calibrated(eight, "repeats", model="poisson_gaussian")
    model = calibration.noise_model
    s = np.linspace(*np.percentile(photons, [1, 97]), 20)
    expected = true_variance(s) * scale**2
    np.testing.assert_allclose(model.variance_curve((2 * s + 100) * scale), expected, rtol=0.03)
    assert model.clipping.high == 255 and verdicts(calibration)["saturation"] == "doubtful"
    single = calibrated(eight[0]).noise_model
    np.testing.assert_allclose(single.variance_curve((2 * s + 100) * scale), expected, rtol=0.1)


@pytest.mark.parametrize(
    ("process", "check"),
    [
        (lambda x, rng: gaussian_filter(x, 0.7), "processing"),
        (lambda x, rng: 255 * ((x - x.min()) / np.ptp(x)) ** 0.3, "slope"),
        (lambda x, rng: x + np.repeat(rng.normal(0, 15, (384, 48)), 8, axis=1), "structure"),
    ],
    ids=["smoothed", "gamma", "striped"],
)
def test_what_no_model_describes_is_reported(process, check):
    rng = np.random.default_rng(4)
    image = process(counts(rng, scene(rng, 384))[0], rng).astype(np.float32)
    calibration = calibrated(image)
    assert verdicts(calibration)[check] == "bad" and calibration.verdict == "bad"
    assert all(bad.advice for bad in calibration.bad)


def test_blurred_noise_gives_the_likelihood_its_whole_variance():
    rng = np.random.default_rng(5)
    noise = gaussian_filter(rng.normal(size=(512, 512)), 0.8)
    smooth = 40 * (1 + np.sin(np.arange(512) / 80)[:, None] + np.zeros((512, 512)))
    image = (100 + smooth + 12 * noise / noise.std()).astype(np.float32)
    calibration = calibrated(image, model="gaussian")
    assert calibration.structure.verdict == "structured"
    assert float(calibration.noise_model.sigma) == pytest.approx(12, rel=0.15)
    assert any("times as large" in r for r in calibration.remarks)


def test_images_scaled_apart_get_curves_and_measurements_each():
    rng = np.random.default_rng(6)
    images = np.concatenate([k * counts(rng, scene(rng)) for k in (1.0, 2.0, 5.0)])
    calibration = calibrated(images)
    model = calibration.noise_model
    assert model.curves == 3 and len(calibration.measured) == 3
    np.testing.assert_allclose(model.gain.numpy(), [2, 4, 10], rtol=0.15)
    assert verdicts(calibration)["scaling"] == "good"
    shared = calibrated(images, curves="shared")
    assert shared.noise_model.curves == 1 and verdicts(shared)["scaling"] == "bad"


def test_a_series_that_moves_slowly():
    rng = np.random.default_rng(7)
    wide = scene(rng, 320)
    frames = np.concatenate([counts(rng, wide[:256, 2 * k : 256 + 2 * k]) for k in range(8)])
    calibration = calibrated(frames, "series")
    within(calibration.noise_model, wide, true_variance, 0.1)


def test_the_source_is_proposed_with_a_reason():
    rng = np.random.default_rng(8)
    photons = scene(rng)
    repeats = counts(rng, photons, frames=6)
    assert calibrated(repeats).source == "repeats"
    single = calibrated(repeats[0])
    assert single.source == "images" and "nothing repeats" in single.reason
    pair = calibrated(repeats[0], clean=photons.astype(np.float32))
    assert pair.source == "pair" and "clean" in pair.reason
    flat = counts(rng, np.full((128, 128), 50.0) + np.linspace(0, 40, 128), frames=4)
    dark = calibrated(flat, dark=counts(rng, np.zeros((128, 128)), frames=4))
    assert dark.source == "flat_field"


def test_other_images_than_those_measured_must_be_covered():
    rng = np.random.default_rng(9)
    photons = scene(rng)
    brighter = counts(rng, photons * 4)[0]
    far = calibrated(counts(rng, photons, frames=10), "repeats", model="gmm", meant_for=brighter)
    check = next(c for c in far.checks if c.name == "coverage")
    assert check.verdict == "bad" and "brighter" in check.advice and check.value > 0.3


def test_a_file_is_judged_on_the_images(tmp_path):
    from napari_hdn.io.noise_models import save_calibration

    rng = np.random.default_rng(10)
    photons = scene(rng)
    made = calibrated(counts(rng, photons, frames=10), "repeats")
    path = save_calibration(made, tmp_path / "noise.json")
    fits = calibrated(counts(rng, photons)[0], "file", path=path)
    assert fits.source == "file" and verdicts(fits)["fit"] == "good" and "made from" in fits.reason
    louder = calibrated(counts(rng, photons, gain=8.0)[0], "file", path=path)
    assert verdicts(louder)["fit"] == "bad"


def test_a_calibration_is_kept_in_the_noise_model_and_read_back():
    rng = np.random.default_rng(11)
    made = calibrated(counts(rng, scene(rng), frames=10))
    again = Calibration.of(noise_model_from_json(noise_model_to_json(made.noise_model)))
    assert again.checks == made.checks and again.config == made.config
    assert again.reason == made.reason and again.data == made.data
    assert again.images == made.images and len(made.images) == 1
    earlier = noise_model_to_json(made.noise_model)  # did not note which images it was made of
    for name in ("images", "dark", "clean"):
        del earlier["calibration"][name]
    assert Calibration.of(noise_model_from_json(earlier)).images == ()
    np.testing.assert_array_equal(again.measured[0].variance, made.measured[0].variance)
    np.testing.assert_allclose(
        again.structure.autocorrelation, made.structure.autocorrelation, atol=1e-5
    )
    damaged = noise_model_to_json(made.noise_model)
    record = damaged["calibration"]
    for wrong in ({"source": "repeats"}, record | {"images": [{"name": 7}]}, record | {"dark": 3}):
        damaged["calibration"] = wrong
        with pytest.raises(NoiseModelError, match="damaged"):
            Calibration.of(noise_model_from_json(damaged))


def test_a_drawn_region_is_read_where_it_was_drawn():
    rng = np.random.default_rng(16)
    image = rng.normal(100, 5, (1000, 1000)) + 300 * (scene(rng, 1000) > 50)
    image[:128, :128] = rng.normal(100, 5, (128, 128))
    image[900:, 20:120] = np.repeat(rng.normal(100, 5, (100, 10)), 10, axis=1)
    image = image.astype(np.float32)
    white = calibrated(image, "images", background=((0, 128, 0, 128),)).structure
    assert white.verdict == "white" and white.signal == pytest.approx(100, abs=1)
    striped = calibrated(image, "images", background=((900, 1000, 20, 120),)).structure
    assert striped.verdict == "structured" and striped.reach_x >= 7
    with pytest.raises(NoiseModelError, match="outside the image of 1000 x 1000"):
        calibrated(image, "images", background=((900, 1100, 0, 50),))


def test_small_images_are_enough_together():
    rng = np.random.default_rng(17)
    images = np.concatenate([counts(rng, scene(rng, 20)) for _ in range(60)])
    stacked = [ImageStack(images, "SYX", "digits")]
    *_, last = calibrate(stacked, CalibrationConfig(source="images"))
    assert float(last.calibration.noise_model.gain[0]) == pytest.approx(2, rel=0.3)


def test_clipped_pixels_do_not_enter_small_images():
    rng = np.random.default_rng(18)
    images = np.maximum(rng.normal(10, 20, (16, 48, 48)).round(), 0)
    images[:, 10:38, 10:38] += 100 + 20 * rng.normal(size=(16, 28, 28)).round()
    stacked = [ImageStack(images.astype(np.uint16), "SYX", "digits")]
    *_, last = calibrate(stacked, CalibrationConfig(source="images", curves="shared"))
    found = float(last.calibration.noise_model.variance_curve(np.array([120.0]))[0])
    assert found < 1200


def test_a_file_with_curves_of_other_images_gets_curves_of_these(tmp_path):
    from napari_hdn.io.noise_models import save_calibration

    rng = np.random.default_rng(19)
    two = np.concatenate([k * counts(rng, scene(rng)) for k in (1.0, 4.0)])
    made = calibrated(two, "images", curves="per_image")
    path = save_calibration(made, tmp_path / "n.json")
    three = np.concatenate([k * counts(rng, scene(rng)) for k in (2.0, 2.0, 8.0)])
    judged = calibrated(three, "file", path=path)
    assert judged.noise_model.curves == 3 and len(judged.measured) == 3
    np.testing.assert_allclose(judged.noise_model.gain.numpy(), [4, 4, 16], rtol=0.2)
    assert any("curves of their own" in r for r in judged.remarks)


def test_a_channel_is_taken_of_clean_images_too():
    rng = np.random.default_rng(20)
    photons = scene(rng)
    noisy = np.stack([counts(rng, photons)[0], counts(rng, 3 * photons)[0]])
    clean = np.stack([photons, 3 * photons]).astype(np.float32)
    pair = [ImageStack(noisy, "CYX", "noisy")]
    *_, last = calibrate(
        pair, CalibrationConfig(channel=1), clean=ImageStack(clean, "CYX", "clean")
    )
    assert last.calibration.source == "pair"
    assert float(last.calibration.noise_model.gain[0]) == pytest.approx(2, rel=0.08)


def test_the_same_seed_gives_the_same_model():
    rng = np.random.default_rng(12)
    frames = counts(rng, scene(rng, 128), frames=10)
    first, again = (
        noise_model_to_json(calibrated(frames, "repeats", model="gmm").noise_model)
        for _ in range(2)
    )
    assert first == again


def test_progress_grows_and_stop_is_heard():
    rng = np.random.default_rng(13)
    frames = counts(rng, scene(rng), frames=10)
    stop = Stop()
    events = calibrate([stack(frames)], CalibrationConfig(), stop=stop)
    assert isinstance(next(events), CalibrationProgress)
    stop.request()
    with pytest.raises(StoppedEarly):
        list(events)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.full((64, 64), 7.0), ImageError, "constant"),
        (np.where(np.arange(64) < 3, np.nan, 1.0) + np.zeros((64, 64)), ImageError, "NaN"),
        (
            np.minimum(np.arange(64.0) * 9 + np.zeros((64, 64)), 255),
            NoiseModelError,
            "saturated at 255",
        ),
    ],
    ids=["constant", "nan", "saturated"],
)
def test_images_that_tell_nothing_are_refused(image, error, words):
    with pytest.raises(error, match=words):
        calibrated(image.astype(np.float32))


def test_a_shape_needs_known_signals():
    rng = np.random.default_rng(14)
    with pytest.raises(NoiseModelError, match="counts whose signal is known"):
        calibrated(counts(rng, scene(rng))[0], model="gmm")
    with pytest.raises(NoiseModelError, match="clean image"):
        calibrated(counts(rng, scene(rng))[0], "pair")
