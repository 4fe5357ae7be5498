"""Samples one by one."""

import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import ImageError
from napari_hdn.core.events import Stop
from napari_hdn.core.restoring.convergence import Convergence
from napari_hdn.core.restoring.sampling import Sampler, draw_samples, measure_convergence
from simulated import simulate

EXACT = {"device": "cpu", "precision": "float32"}


def test_a_sample_is_that_of_the_restoration_whenever_it_is_asked_for(tiny_model):
    image = simulate((2, 3, 32, 40))
    for flips in (False, True):
        config = RestorationConfig(outputs=("samples",), samples=5, flips=flips, seed=3, **EXACT)
        whole = tiny_model.restore(image, "TZYX", **config.model_dump()).samples
        sampler = Sampler(tiny_model, ImageStack(image, "TZYX"), config)
        for sample, index in [(4, (1, 2)), (0, (0, 0)), (4, (1, 2)), (3, (1, 0))]:
            got = sampler.draw(sample, index)
            np.testing.assert_allclose(got, whole[(sample, *index)], rtol=1e-5)


def test_samples_of_a_plane(tiny_model):
    image = simulate((40, 36))
    *fractions, samples = draw_samples(tiny_model, image, 5, seed=2, device="cpu")
    assert samples.shape == (5, 40, 36) and fractions[-1] == 1.0
    assert np.abs(samples[0] - samples[1]).max() > 0.1
    *_, more = draw_samples(tiny_model, image, 7, seed=2, device="cpu")
    np.testing.assert_allclose(more[:5], samples, rtol=1e-2)
    *_, off = draw_samples(tiny_model, image, 5, seed=2, device="cpu", off=(1,))
    assert np.abs(off - samples).max() > 0.1
    stop = Stop()
    stop.request()
    assert not any(isinstance(x, np.ndarray) for x in draw_samples(tiny_model, image, 5, stop=stop))


def test_samples_of_a_plane_of_a_stack_are_those_of_its_restoration(tiny_model):
    image = simulate((3, 32, 40))
    whole = tiny_model.restore(image, "TYX", outputs=("samples",), samples=3, device="cpu").samples
    *_, samples = draw_samples(tiny_model, image[2], 3, number=2, device="cpu")
    np.testing.assert_allclose(samples, whole[:, 2], rtol=1e-5)


def test_a_damaged_plane_is_refused(tiny_model):
    image = simulate((2, 32, 32))
    image[1, 3, 3] = np.nan
    sampler = Sampler(tiny_model, ImageStack(image, "TYX", "x"), RestorationConfig(**EXACT))
    with pytest.raises(ImageError, match="x, plane 1: 1 of 1024"):
        sampler.draw(0, (1,))


def test_the_law_is_measured_on_the_image(tiny_model):
    image = simulate((48, 48))
    config = RestorationConfig(**EXACT)
    *fractions, law = measure_convergence(tiny_model, image, config, pairs=8)
    assert isinstance(law, Convergence) and len(fractions) == 16 and fractions[-1] == 1.0
    *_, samples = draw_samples(tiny_model, image, 40, seed=5, device="cpu")
    assert law.spread.single == pytest.approx(samples.var(0, ddof=1).mean(), rel=0.3)
    assert law.spread.pair < law.spread.single / 2  # where it is no better than two of them
    stop = Stop()
    stop.request()
    assert list(measure_convergence(tiny_model, image, config, stop=stop)) == []
