"""Scores of contributions whose answer is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter, uniform_filter1d

from napari_hdn.core.artefacts import structure_of_background
from napari_hdn.core.levels.decomposition import Decomposition
from napari_hdn.core.levels.scores import regions, score_levels

SIDE = 192


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def scene():
    """Counts: dark on the left, bright on the right."""
    x = np.arange(SIDE)
    return np.broadcast_to(120.0 + 300.0 / (1 + np.exp(-(x - SIDE / 2) / 4)), (SIDE, SIDE))


def white(rng):
    return rng.standard_normal((SIDE, SIDE))


def unit(field):
    return field / field.std()


def decomposition(scene, *contributions, noise=None, untrained=()):
    """A decomposition whose parts add up to the scene and the contributions."""
    return Decomposition(
        contributions=np.stack(contributions).astype(np.float32),
        remainder=scene.astype(np.float32),
        noise=(np.full(scene.shape, 20.0) if noise is None else noise).astype(np.float32),
        kl=tuple(0.1 * k for k in range(len(contributions))),
        untrained=untrained,
    )


def noisy_background(rng, field):
    """What is judged of a raw image that is this noise."""
    return structure_of_background([100 + 20 * unit(field)])


def test_noise_everywhere_is_as_strong_in_the_dark_as_in_the_bright(rng, scene):
    (score,) = score_levels(decomposition(scene, 10 * white(rng)), None)
    assert score.s1 == pytest.approx(1.0, abs=0.03)
    assert score.s2 is None
    assert score.s3 == pytest.approx(0.0, abs=0.2)
    assert score.rms == pytest.approx(10.0, rel=0.01)
    assert score.dark == pytest.approx(0.25, rel=0.05)  # (10 / 20)^2
    assert score.everywhere == pytest.approx(0.25, rel=0.05)
    assert score.share == 1.0


def test_noise_that_depends_on_the_signal_is_noise_too(rng, scene):
    """In counts it is much stronger in the bright; in units of the noise it is not."""
    sigma = np.sqrt(2 * scene - 190)
    contribution = 0.5 * sigma * white(rng)
    (score,) = score_levels(decomposition(scene, contribution, noise=sigma), None)
    assert score.s1 == pytest.approx(1.0, abs=0.03)
    assert score.dark == pytest.approx(0.25, rel=0.05)
    (plain,) = score_levels(decomposition(scene, contribution), None)
    assert plain.s1 < 0.5


def test_a_structure_in_the_bright_only(rng, scene):
    contribution = 10 * gaussian_filter(white(rng), 1.5) * (scene > 300)
    (score,) = score_levels(decomposition(scene, contribution), None)
    assert score.s1 < 0.05
    assert score.verdict == "structure"
    assert "Holds structures" in score.in_words()


def test_lines_have_a_direction(rng, scene):
    lines = 10 * unit(uniform_filter1d(white(rng), 9, axis=1))
    raw = noisy_background(rng, lines / 10 + 0.5 * white(rng))
    assert raw.verdict == "structured" and raw.strongest == (0, 1)
    (score,) = score_levels(decomposition(scene, lines), raw)
    # neighbours along a line differ by 1 - 8 / 9 of the variance, those across it by all
    assert score.s3 == pytest.approx(10 * np.log10(9), abs=0.7)
    assert score.s1 == pytest.approx(1.0, abs=0.1)
    assert score.verdict == "artefact"
    assert "in lines" in score.in_words()
    vertical = noisy_background(rng, lines.T / 10 + 0.5 * white(rng))
    (turned,) = score_levels(decomposition(scene, lines.T), vertical)
    assert turned.s3 == pytest.approx(10 * np.log10(9), abs=0.7)
    (wrong,) = score_levels(decomposition(scene, lines.T), raw)
    assert wrong.s3 == pytest.approx(-10 * np.log10(9), abs=0.7)
    sharp = 10 * unit(uniform_filter1d(white(rng), 25, axis=1))
    assert score_levels(decomposition(scene, sharp), raw)[0].s3 > 10


def test_diagonal_lines_have_one_too(rng, scene):
    diagonal = sum(np.roll(white_, k, (0, 1)) for white_ in [white(rng)] for k in range(9))
    raw = noisy_background(rng, unit(diagonal))
    (score,) = score_levels(decomposition(scene, 10 * unit(diagonal)), raw)
    assert score.s3 == pytest.approx(10 * np.log10(9), abs=0.7)


@pytest.mark.parametrize("turn", ["horizontal", "vertical", "diagonal"])
def test_lines_are_found_where_no_background_tells_their_direction(rng, scene, turn):
    lines = unit(uniform_filter1d(white(rng), 9, axis=1))
    if turn == "vertical":
        lines = lines.T
    if turn == "diagonal":
        lines = unit(sum(np.roll(lines_, k, (0, 1)) for lines_ in [white(rng)] for k in range(9)))
    (score,) = score_levels(decomposition(scene, 10 * lines), None)
    assert score.s3 == pytest.approx(10 * np.log10(9), abs=0.7)
    assert score.verdict == "artefact" and "in lines" in score.in_words()


def test_noise_correlated_as_the_raw_background_is(rng, scene):
    grain, other = unit(uniform_filter(white(rng), 3)), unit(uniform_filter(white(rng), 3))
    raw = noisy_background(rng, grain)
    assert raw.verdict == "structured"
    alike, unlike, rest = score_levels(
        decomposition(scene, 10 * other, 10 * white(rng), 10 * gaussian_filter(white(rng), 6)), raw
    )
    assert alike.s2 == pytest.approx(1.0, abs=0.1) and alike.verdict == "artefact"
    assert "correlated as the noise is" in alike.in_words()
    assert abs(unlike.s2) < 0.35
    assert rest.s2 < alike.s2


def test_a_level_is_no_artefact_where_the_noise_is_white(rng, scene):
    """Even if its correlation happens to be that of the little background that was judged."""
    noise = white(rng)
    raw = structure_of_background([100 + 20 * noise], [(0, 40, 0, 50)])
    assert raw.verdict == "white"
    (score,) = score_levels(decomposition(scene, 10 * noise), raw, [(0, 40, 0, 50)])
    assert score.s1 > 0.9 and score.s2 is None  # there is nothing to be like
    assert score.verdict not in ("artefact", "mixed")


def test_shares_add_up_and_levels_are_in_order(rng, scene):
    scores = score_levels(
        decomposition(scene, 10 * white(rng), 20 * white(rng), 0 * scene, untrained=(3,)), None
    )
    assert [s.level for s in scores] == [1, 2, 3]
    np.testing.assert_allclose([s.share for s in scores], [0.2, 0.8, 0.0], atol=0.01)
    assert [s.kl for s in scores] == [0.0, 0.1, 0.2]
    assert [s.scale_px for s in scores] == [(2, 4), (4, 8), (8, 16)]
    assert scores[2].verdict == "off" and "trained without" in scores[2].in_words()
    assert scores[2].s3 == 0.0 and scores[2].s1 == 0.0


def test_next_to_nothing(rng, scene):
    (score,) = score_levels(decomposition(scene, 0.1 * white(rng)), None)
    assert score.verdict == "empty"
    assert score.in_words() == "Holds next to nothing (0.1 counts)."


def test_regions_are_the_darkest_and_the_brightest_quarter(scene):
    dark, bright = regions(decomposition(scene, 0 * scene))
    assert dark.mean() == pytest.approx(0.25, abs=0.02)
    assert bright.mean() == pytest.approx(0.25, abs=0.02)
    assert dark[:, : SIDE // 5].all() and bright[:, -SIDE // 5 :].all()


def test_background_that_was_drawn(rng, scene):
    """Noise only in the rectangle: it is compared with the bright, which holds nothing."""
    contribution = 0.01 * white(rng)
    contribution[:64, :48] = 10 * rng.standard_normal((64, 48))
    boxes = [(0, 64, 0, 48)]
    dark, bright = regions(decomposition(scene, contribution), boxes)
    assert dark.sum() == 64 * 48 and dark[:64, :48].all()
    assert not (dark & bright).any() and bright.any()
    (score,) = score_levels(decomposition(scene, contribution), None, boxes)
    assert score.s1 > 50


@pytest.mark.parametrize("boxes", [None, [(0, SIDE, 0, SIDE)], [(0, SIDE, SIDE // 2, SIDE)]])
def test_nothing_is_brighter_than_the_background(rng, boxes):
    """An empty image, and a background that covers all that is bright: still numbers."""
    flat = np.full((SIDE, SIDE), 100.0)
    steps = flat + 100 * (np.arange(SIDE) >= SIDE // 2)
    for image in (flat, steps):
        (score,) = score_levels(
            decomposition(image, 1e-9 * image if image is flat else 5 * white(rng)), None, boxes
        )
        assert np.isfinite([score.s1, score.s3, score.dark, score.everywhere, score.share]).all()


@pytest.mark.parametrize("shape", [(32, 32), (32, 200), (33, 47)])
def test_small_pieces(rng, shape):
    raw = noisy_background(rng, uniform_filter1d(white(rng), 9, axis=1))
    y = np.linspace(0, 1, shape[0])[:, None]
    field = rng.standard_normal(shape)
    (score,) = score_levels(decomposition(100 + 100 * y + 0 * field, 10 * field), raw)
    assert score.s1 == pytest.approx(1.0, abs=0.35)
    assert score.s2 is not None and np.isfinite(score.s2)


def test_json_is_all_numbers_and_words(rng, scene):
    data = score_levels(decomposition(scene, 10 * white(rng)), None)[0].to_json()
    assert data["details_px"] == [2, 4]
    assert data["in_words"].endswith(".")
    assert data["s1"] == pytest.approx(1.0, abs=0.03) and data["s2"] is None
