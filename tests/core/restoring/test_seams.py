"""Posterior samples are one coherent image each, whatever the tiles.

Judged as a user would: the spread of samples at the borders of tiles, and steps across them, against
those inside. Images are homogeneous, so that a border is nothing special but for the tiles.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NoiseConfig
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.latent_noise import LatentNoise
from simulated import TINY, network, run_to_end

TILE, SIDE, SAMPLES, SCENES = 64, 192, 8, 16
SIGMA = 20.0
SUMMARY = TrainingSummary(
    version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
    data_low=0, data_high=200,
)  # fmt: skip


def texture(seed: int, shape=(SIDE, SIDE)) -> np.ndarray:
    """Counts of a scene that is alike everywhere."""
    rng = np.random.default_rng(seed)
    scene = gaussian_filter(rng.standard_normal(shape), 3, mode="wrap")
    return (100 + 40 * scene / scene.std() + rng.normal(0, SIGMA, shape)).astype(np.float32)


@pytest.fixture(scope="module")
def random_model() -> HDN:
    from napari_hdn.core.config import TrainingConfig

    config = TrainingConfig(network=TINY, minutes=None, steps=1, patch_px=16)
    ladder = network(TINY.model_copy(update={"levels": 3}))
    return HDN(config, ladder, Gaussian(SIGMA), Normalisation(100.0, 45.0), SUMMARY)


@pytest.fixture(scope="module")
def trained_model() -> HDN:
    """Of two levels, after some seconds."""
    from napari_hdn.core.config import TrainingConfig

    config = TrainingConfig(
        network=TINY, minutes=None, steps=150, patch_px=32, batch_size=8, warmup_steps=10,
        device="cpu", precision="float32", noise=NoiseConfig(source="gaussian", sigma=SIGMA),
    )  # fmt: skip
    stack = ImageStack(np.stack([texture(s, (128, 128)) for s in range(10, 14)]), "SYX", "texture")
    return run_to_end([stack], config)[0].model


@pytest.fixture(params=["random", "trained"])
def model(request) -> HDN:
    return request.getfixturevalue(f"{request.param}_model")


@pytest.fixture
def incoherent(monkeypatch):
    """Noise that begins anew in every tile, as it would if tiles were drawn one by one."""
    crop = LatentNoise.crop

    def anew(self, sample, level, y0, x0, height, width):
        return crop(self, sample, level, 0, 0, height, width)

    monkeypatch.setattr(LatentNoise, "crop", anew)


def drawn(
    model: HDN, samples: int = SAMPLES, *, seed: int = 0, tile_px: int | None = TILE, scene=0
):
    """(samples, Y, X) counts; posterior samples of one texture."""
    restored = model.restore(
        texture(scene), "YX", outputs=("samples",), samples=samples, seed=seed, tile_px=tile_px,
        device="cpu", precision="float32",
    )  # fmt: skip
    return restored.samples


@pytest.fixture(scope="module")
def tiled_samples():
    """Of several textures, as a seam may cross a structure of one; made once a model."""
    made = {}

    def get(model):
        if id(model) not in made:
            # noise of its own for each: where the same noise scatters more is chance, and stays
            made[id(model)] = [drawn(model, scene=k, seed=k) for k in range(SCENES)]
        return made[id(model)]

    return get


SEAMS = np.arange(TILE, SIDE, TILE)


def steps(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute difference of neighbours across each seam, and across other lines.

    The lines are those 8 to 56 pixels into the tiles, both of rows and of columns.
    """
    inside = [x for x in range(8, SIDE - 8) if 8 <= x % TILE <= TILE - 8]
    at, within = [], []
    for images in (samples, samples.swapaxes(1, 2)):
        step = np.abs(np.diff(images, axis=2)).mean(axis=(0, 1))  # step[i] is from i to i + 1
        at.append(step[SEAMS - 1])
        within.append(step[np.array(inside) - 1])
    return np.concatenate(at), np.concatenate(within)


def spreads(scenes: list[np.ndarray]) -> tuple[float, float]:
    """Mean variance over samples within two pixels of a seam, and elsewhere."""
    near = np.zeros((SIDE, SIDE), bool)
    for seam in SEAMS:
        near[seam - 2 : seam + 2] = True
        near[:, seam - 2 : seam + 2] = True
    edge = np.zeros_like(near)  # of the image, where the padding of the network has a say
    edge[8:-8, 8:-8] = True
    variance = np.mean([s.astype(np.float64).var(axis=0, ddof=1) for s in scenes], axis=0)
    return float(variance[near & edge].mean()), float(variance[~near & edge].mean())


def test_samples_are_the_same_in_tiles_and_as_a_whole(model):
    whole, tiled = drawn(model, 3, seed=1, tile_px=None), drawn(model, 3, seed=1)
    assert whole.std(axis=0).mean() > 1  # counts; they differ from each other
    np.testing.assert_allclose(tiled, whole, atol=1e-3 * np.ptp(whole))
    np.testing.assert_array_equal(drawn(model, 3, seed=1), tiled)
    assert np.abs(drawn(model, 3, seed=2) - tiled).mean() > 1


def test_the_spread_at_seams_is_that_of_elsewhere(model, tiled_samples):
    at_seams, elsewhere = spreads(tiled_samples(model))
    assert at_seams == pytest.approx(elsewhere, rel=0.05)


def deviations(samples: np.ndarray) -> np.ndarray:
    """What differs from sample to sample, without the scene, which has steps of its own."""
    return samples - samples.mean(axis=0)


@pytest.mark.parametrize("of", [np.asarray, deviations])
def test_there_is_no_step_across_a_seam(model, tiled_samples, of):
    at_seams, within = steps(np.concatenate([of(s) for s in tiled_samples(model)]))
    error = within.std(ddof=1) / len(at_seams) ** 0.5
    assert at_seams.mean() - within.mean() < 3 * error
    assert at_seams.max() < within.mean() + 4 * within.std(ddof=1)


def test_these_tests_see_tiles_that_are_drawn_one_by_one(trained_model, incoherent):
    at_seams, within = steps(deviations(drawn(trained_model)))
    error = within.std(ddof=1) / len(at_seams) ** 0.5
    assert at_seams.mean() - within.mean() > 8 * error


def test_these_tests_see_tiles_that_are_blended(trained_model):
    """Averaging independent samples in an overlap, half of the variance is lost there."""
    one, other = (drawn(trained_model, seed=s) for s in (1, 2))
    blended = one.copy()
    for seam in SEAMS:
        for at in (np.s_[:, seam - 2 : seam + 2], np.s_[:, :, seam - 2 : seam + 2]):
            blended[at] = (one[at] + other[at]) / 2
    at_seams, elsewhere = spreads([blended])
    assert at_seams < 0.7 * elsewhere
