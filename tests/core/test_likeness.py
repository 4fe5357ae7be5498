"""Numbers of real against generated images, on fields whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hdn.core.likeness import Likeness, Octave, compare, middle


def field(rng, n, shape, gain=None):
    """White noise of variance 1, with the power of some wavelengths multiplied."""
    white = rng.standard_normal((n, *shape))
    if gain is None:
        return white
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    with np.errstate(divide="ignore"):
        spectrum = np.fft.fft2(white) * np.sqrt(gain(1 / frequency))
    return np.fft.ifft2(spectrum).real


def test_white_against_scaled_white():
    rng = np.random.default_rng(0)
    real, made = 100 + 2 * field(rng, 4, (128, 96)), 90 + 3 * field(rng, 4, (128, 96))
    found = compare(list(real), list(made))
    assert found.mean == pytest.approx((100, 90), abs=0.1)
    assert found.std == pytest.approx((2, 3), rel=0.02)
    assert [(o.low, o.high) for o in found.octaves] == [(2, 4), (4, 8), (8, 16), (16, 32)]
    # waves in an octave: pi * pixels * (1/low^2 - 1/high^2), half of them independent
    for octave in found.octaves:
        waves = 0.5 * np.pi * 128 * 96 * (octave.low**-2 - octave.high**-2) * 4
        # a Hann window leaves about a fifth of them independent
        assert octave.ratio == pytest.approx(9 / 4, rel=5 * (2 * 5 / waves) ** 0.5)


def test_missing_coarse_structure_is_told():
    rng = np.random.default_rng(1)
    real = 100 + 5 * field(rng, 4, (256, 256))
    made = 100 + 5 * field(rng, 4, (256, 256), lambda px: np.where(px < 8, 1.0, 0.04))
    found = compare(list(real), list(made))
    ratios = {o.low: o.ratio for o in found.octaves}
    assert ratios[2] == pytest.approx(1, abs=0.1) and ratios[16] == pytest.approx(0.04, abs=0.02)
    assert [o.verdict for o in found.octaves] == ["alike"] * 2 + ["weak"] * 4
    assert "about as strong at 2–8 px; weaker than half at 8–128 px." in found.in_words()
    assert "the coarsest latents (16 px each) know nothing of their neighbours" in found.in_words(
        16
    )
    assert "neighbours" not in compare(list(real), list(real)).in_words(16)


def test_in_words():
    octaves = (Octave(2, 4, 3.0), Octave(4, 8, 1.0), Octave(8, 16, 2.5), Octave(16, 32, 0.1))
    text = Likeness((150.0, 131.0), (27.1, 7.9), octaves, (1, 4)).in_words()
    assert text == (
        "Generated (4 images) against real (1 piece): mean 131 against 150 counts, contrast (std) 7.9 "
        "against 27.1 counts (29%). Power of details: about as strong at 4–8 px; weaker than half "
        "at 16–32 px; more than twice as strong at 2–4 px, 8–16 px."
    )


def test_sizes_that_differ_and_tiny_ones():
    rng = np.random.default_rng(2)
    found = compare(list(field(rng, 1, (40, 64))), list(field(rng, 2, (64, 33))))
    assert [(o.low, o.high) for o in found.octaves] == [(2, 4), (4, 8), (8, 16)]
    tiny = compare([np.array([[4.0, 5.0, 6.0]] * 3)], [np.full((3, 3), 6.0)])
    assert tiny.mean == (5.0, 6.0) and tiny.octaves == () and "mean 6 against 5" in tiny.in_words()
    assert found.number == (1, 2) and "(2 images) against real (1 piece)" in found.in_words()


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_real_images_that_show_nothing_are_not_compared(value):
    made = list(field(np.random.default_rng(3), 2, (64, 64)))
    found = compare([np.full((64, 64), value)] * 2, made)
    assert found.flat and found.octaves == ()
    text = found.in_words(16)
    assert text.startswith(
        f"Not compared: the real pieces show nothing, every pixel is {value:.0f} "
    )
    assert "%" not in text and "inf" not in text
    one_pixel = np.full((64, 64), value)
    one_pixel[30, 30] += 1
    assert not compare([one_pixel], made).flat


def test_the_middle():
    image = np.arange(35).reshape(5, 7)
    np.testing.assert_array_equal(middle(image, 3, 3), image[1:4, 2:5])
    np.testing.assert_array_equal(middle(image, 9, 9), image)
