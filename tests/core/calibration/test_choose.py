import json

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, gaussian_filter

from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.calibration.choose import curve_of_plane, estimate, make_noise_model
from napari_hdn.core.config import NoiseConfig
from napari_hdn.core.errors import ImageError, NoiseModelError, StoppedEarly
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.base import Clipping, noise_model_to_json
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.gmm import fit_gmm
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from simulated import counts, scene, true_variance


def stack(array):
    return ImageStack(array, "TYX", "cells")


def test_known_sigma_is_taken_as_it_is():
    model, remarks = make_noise_model([], NoiseConfig(source="gaussian", sigma=25))
    assert isinstance(model, Gaussian) and float(model.sigma) == 25 and remarks == []


def test_repeats_are_found_and_used():
    rng = np.random.default_rng(0)
    fields = [counts(rng, scene(rng), frames=4) for _ in range(2)]
    model, remarks = estimate([stack(np.concatenate(fields))])
    assert "2 static fields with 4 repeats" in model.source and remarks == []
    assert float(model.variance(torch.tensor(220.0))) == pytest.approx(
        true_variance(60.0), rel=0.05
    )


def test_single_images_are_used_where_nothing_repeats():
    rng = np.random.default_rng(1)
    images = np.concatenate([counts(rng, scene(rng)) for _ in range(3)])
    model, remarks = estimate([stack(images)])
    assert "noisy images alone" in model.source and model.curves == 1 and remarks == []
    assert float(model.variance(torch.tensor(220.0))) == pytest.approx(true_variance(60.0), rel=0.1)


def test_images_scaled_apart_get_a_curve_each():
    rng = np.random.default_rng(2)
    scales = [1.0, 2.0, 4.0]
    images = np.concatenate([k * counts(rng, scene(rng)) for k in scales])
    model, remarks = estimate([stack(images)])
    assert model.curves == 3
    np.testing.assert_allclose(model.gain.numpy(), 2 * np.array(scales), rtol=0.15)
    assert any("scaled apart" in r for r in remarks)
    unseen = 3 * counts(rng, scene(rng))[0]
    assert float(curve_of_plane(model, unseen).gain) == pytest.approx(6, rel=0.15)


def test_line_noise_is_told_and_its_variance_included():
    rng = np.random.default_rng(3)
    images = []
    for _ in range(3):
        noisy = counts(rng, scene(rng))[0]
        images.append(noisy + np.repeat(rng.normal(0, 15, (256, 32)), 8, axis=1))
    model, remarks = estimate([stack(np.stack(images).astype(np.float32))])
    assert any("correlated along x" in r for r in remarks)
    assert model.differences == "y"
    expected = true_variance(60.0) + 225
    assert float(model.variance(torch.tensor(220.0))) == pytest.approx(expected, rel=0.15)


def test_saturation_is_told():
    rng = np.random.default_rng(4)
    images = np.minimum(np.concatenate([counts(rng, scene(rng)) for _ in range(2)]), 260)
    _, remarks = estimate([stack(images)])
    assert any("saturated at 260" in r for r in remarks)


def test_nan_is_refused():
    image = counts(np.random.default_rng(5), scene(np.random.default_rng(5)))
    image[0, 3, 4] = np.nan
    with pytest.raises(ImageError, match=r"cells, plane 0: 1 of 65536 pixels"):
        estimate([stack(image)])


def test_too_small_for_an_estimate():
    tiny = np.random.default_rng(6).normal(100, 3, (1, 16, 16)).astype(np.float32)
    with pytest.raises(NoiseModelError, match="could not be estimated"):
        estimate([stack(tiny)])


def test_neighbours_in_z_or_c_are_no_repeats():
    rng = np.random.default_rng(7)
    frames = counts(rng, scene(rng), frames=4)
    model, _ = estimate([ImageStack(frames, "ZYX", "slices")])
    assert "noisy images alone" in model.source
    both = np.stack([frames, counts(rng, scene(rng), frames=4)], axis=1)
    model, _ = estimate([ImageStack(both, "TCYX", "two channels")])
    assert "2 static fields with 4 repeats" in model.source


def test_curves_per_image_from_a_file_are_made_anew_for_other_images(tmp_path):
    rng = np.random.default_rng(8)
    old = PoissonGaussian([1.0, 2.0], [0.0, 0.0], [1.0, 1.0])
    path = tmp_path / "noise_model.json"
    path.write_text(json.dumps(noise_model_to_json(old)))
    images = np.concatenate([k * counts(rng, scene(rng)) for k in (1.0, 2.0, 4.0)])
    config = NoiseConfig(source="file", path=path)
    model, remarks = make_noise_model([stack(images)], config)
    scales = torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1, 1)
    variance = model.variance(220 * scales, torch.arange(3)) / scales**2
    np.testing.assert_allclose(variance, true_variance(60.0), rtol=0.1)
    assert "3 images here get curves of their own" in remarks[0]


def test_stop_is_heard_while_the_noise_is_measured():
    stop = Stop()
    stop.request()
    rng = np.random.default_rng(9)
    with pytest.raises(StoppedEarly):
        estimate([stack(counts(rng, scene(rng)))], stop=stop)


def as_file(model, tmp_path):
    path = tmp_path / "noise_model.json"
    path.write_text(json.dumps(noise_model_to_json(model)))
    return NoiseConfig(source="file", path=path)


def test_curves_per_image_are_kept_for_the_images_that_they_were_measured_on(tmp_path):
    rng = np.random.default_rng(8)
    images = stack(np.concatenate([k * counts(rng, scene(rng)) for k in (1.0, 2.0)]))
    calibrated = PoissonGaussian([2.02, 4.04], [-191.0, -764.0], [1.0, 1.0])
    calibrated.calibration = {"data": list(describe_data([images]))}
    model, remarks = make_noise_model([images], as_file(calibrated, tmp_path))
    np.testing.assert_allclose(model.gain.numpy(), [2.02, 4.04])
    assert remarks == []
    other = ImageStack(images.array[::-1], "TYX", "others")
    again, remarks = make_noise_model([other], as_file(calibrated, tmp_path))
    np.testing.assert_allclose(again.gain.numpy(), [4, 2], rtol=0.25)
    assert any("curves of their own" in r for r in remarks)


def test_images_beyond_a_models_range_are_told(tmp_path):
    rng = np.random.default_rng(9)
    photons = scene(rng)
    signal = 2 * photons.ravel() + 100
    noisy = counts(rng, photons)[0].ravel()
    model = fit_gmm(noisy, signal, components=1, coefficients=2, floor=4.0)
    _, remarks = make_noise_model([stack(counts(rng, photons))], as_file(model, tmp_path))
    assert remarks == []
    _, remarks = make_noise_model([stack(counts(rng, 3 * photons))], as_file(model, tmp_path))
    (remark,) = remarks
    assert f"{model.signal_range[1]:.4g} counts" in remark and "% of the pixels" in remark


def test_a_refined_model_is_used_for_other_images_as_far_as_it_holds(tmp_path):
    rng = np.random.default_rng(10)
    images = stack(np.concatenate([counts(rng, scene(rng)) for _ in range(2)]))
    one = Refined(PoissonGaussian([2.0], [-191.0], [1.0]), [1.3])
    kept, _ = make_noise_model([images], as_file(one, tmp_path))
    assert isinstance(kept, Refined)
    each = Refined(PoissonGaussian([2.0], [-191.0], [1.0]), [1.3, 0.8, 1.0])
    each.clipping = Clipping(high=4095.0)
    median, remarks = make_noise_model([images], as_file(each, tmp_path))
    assert median.scale.tolist() == [1.0] and median.clipping == each.clipping
    assert any("1.00, the median" in r for r in remarks)
    began = Refined(PoissonGaussian([9.0], [0.0], [1.0]), [1.0], units=one.inner)
    assert float(curve_of_plane(began, images.plane((0,))).gain) == 2.0


def test_saturation_is_known_to_the_likelihood():
    rng = np.random.default_rng(11)
    images = np.minimum(np.concatenate([counts(rng, scene(rng)) for _ in range(2)]).round(), 260)
    model, _ = estimate([stack(images)])
    assert model.clipping.high == 260 and model.clipping.step == 1
    untouched, _ = estimate([stack(np.concatenate([counts(rng, scene(rng)) for _ in range(2)]))])
    assert untouched.clipping is None


def test_training_takes_the_whole_variance_of_blurred_noise_too():
    rng = np.random.default_rng(12)
    noise = gaussian_filter(rng.normal(size=(3, 256, 256)), (0, 0.8, 0.8))
    images = (100 + 20 * noise / noise.std()).astype(np.float32)
    model, remarks = estimate([ImageStack(images, "SYX", "blurred")])
    assert model.structured and any("times as large" in r for r in remarks)
    assert float(model.variance(torch.tensor(100.0))) == pytest.approx(400, rel=0.2)
    assert model.factor > 5
    white, _ = estimate([stack(counts(rng, scene(rng), frames=1))])
    assert not white.structured and white.factor == 1


@pytest.mark.parametrize("kind", ["diagonal lines", "checker"])
def test_noise_with_more_fine_grain_than_variance_is_not_counted_twice(kind):
    rng = np.random.default_rng(14)
    photons = scene(rng)
    if kind == "checker":
        y, x = np.indices(photons.shape)
        noise = (-1.0) ** (y + x) * gaussian_filter(rng.normal(size=photons.shape), 4)
    else:
        noise = convolve(rng.normal(size=photons.shape), np.eye(9), mode="wrap")
    image = counts(rng, photons) + 25 * noise / noise.std()
    model, remarks = estimate([stack(image.astype(np.float32))])
    assert model.structured and any("differ more than others" in r for r in remarks)
    dark = float(np.quantile(photons, 0.25))
    found = float(model.variance_curve(np.array([2 * dark + 100]), 0)[0])
    assert found == pytest.approx(625 + 4 * dark + 9, rel=0.15)


def test_blurred_images_scaled_apart_get_their_whole_variance_each():
    rng = np.random.default_rng(13)
    images = []
    for k in range(18):
        photons = scene(rng, 128)
        noise = gaussian_filter(rng.normal(size=photons.shape), 0.8)
        noise *= np.sqrt(4 * photons) / noise.std()
        images.append((1 + 3 * (k % 2)) * (2 * photons + noise))
    model, _ = estimate([ImageStack(np.stack(images).astype(np.float32), "SYX", "blurred")])
    assert model.curves == 18
    for k, scale in ((0, 1), (1, 4)):
        at = float(np.median(images[k]))
        found = float(model.variance_curve(np.array([at]), k)[0])
        assert found == pytest.approx(2 * scale * at, rel=0.4)
    unseen = curve_of_plane(model, images[1].astype(np.float32))
    assert float(unseen.gain) == pytest.approx(float(model.gain[1]), rel=0.01)
