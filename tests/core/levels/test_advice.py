"""Advice from scores that are known, those of real sweeps among them (benchmarks/levels.py)."""

import numpy as np
import pytest

from napari_hdn.core.artefacts import Structure
from napari_hdn.core.levels.advice import Advice, advise, spoken
from napari_hdn.core.levels.scores import LevelScores


def structure(verdict="structured", reach=8):
    image = np.zeros((25, 25))
    image[12, 12 - reach : 13 + reach] = 0.5
    image[12, 12] = 1.0
    numbers = {"reach_y": 0, "reach_x": reach, "variance": 500.0, "signal": 130.0}
    return Structure("background", image, 0.01, verdict=verdict, **numbers)


def scores(*levels):
    """(verdict, dark, everywhere, s2) of each level, level 1 first."""
    return [
        LevelScores(
            level=k,
            share=0.25,
            kl=0.01,
            rms=3.0,
            dark=dark,
            everywhere=everywhere,
            s1=1.0 if verdict in ("artefact", "coarse") else 0.1,
            s2=s2,
            s3=10.0 if verdict == "artefact" else 0.0,
            verdict=verdict,
        )
        for k, (verdict, dark, everywhere, s2) in enumerate(levels, 1)
    ]


STRIPES = (  # w2s stripes, seed 0
    ("artefact", 0.2026, 0.1994, 0.82),
    ("artefact", 0.0789, 0.0817, 0.75),
    ("mixed", 0.0068, 0.0228, 0.35),
    ("structure", 0.0017, 0.0769, 0.38),
)


def test_the_best_run_of_a_real_case():
    advice = advise(scores(*STRIPES), structure())
    assert (advice.off, advice.verdict, advice.confidence) == ((1, 2), "artefact", "high")
    assert advice.removed == pytest.approx(
        (0.2026 + 0.0789)
        / (0.2026 + 0.0789 + 0.0068 * (0.35 / 0.75) ** 2 + 0.0017 * (0.38 / 0.75) ** 2)
    )
    assert advice.in_words() == "Switch levels 1-2 off (clear)."
    assert "correlated as the noise" in advice.reasons[0] and len(advice.reasons) == 3


def test_the_run_is_the_one_that_leaves_least():
    """Against all runs, with the numbers written out."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        dark = rng.uniform(0.01, 1, 4)
        detail = rng.uniform(0.01, 1, 4)
        levels = [("artefact", d, d + e, 0.9) for d, e in zip(dark, detail, strict=True)]
        advice = advise(scores(*levels), structure())
        left = [dark[m:].sum() + detail[:m].sum() for m in range(4)]
        best = int(np.argmin(left))
        gain = 10 * np.log10(left[0] / left[best])
        if advice.verdict == "artefact":
            assert advice.off == tuple(range(1, best + 1))
            assert advice.gain_db == pytest.approx(gain)
            assert advice.lost == pytest.approx(detail[:best].sum() / detail[:3].sum())
        else:
            assert gain < 1.0 and advice.verdict == "inseparable" and advice.off == ()


def test_the_top_always_stays():
    levels = [("artefact", 1.0, 1.0, 0.9)] * 3
    assert advise(scores(*levels), structure()).off == (1, 2)


@pytest.mark.parametrize("verdict", ["white", "weak"])
def test_white_noise_needs_nothing(verdict):
    advice = advise(scores(*STRIPES), structure(verdict, 0))
    assert (advice.off, advice.verdict, advice.confidence) == ((), "nothing", "high")
    assert "Switch nothing off" in advice.in_words()


@pytest.mark.parametrize("noise", [None, structure("white", 0)])
def test_something_coarse_everywhere_cannot_be_told_from_structures(noise):
    levels = (
        ("structure", 0.003, 0.003, 0.0),
        ("coarse", 0.87, 0.65, 0.04),
        ("coarse", 3.8, 3.1, -0.1),
        ("structure", 0.5, 0.6, 0.0),
    )
    advice = advise(scores(*levels), noise)
    assert advice.off == () and advice.verdict == "inseparable"
    assert "cannot tell them apart" in advice.in_words()
    assert advice.reasons[0].startswith("Level 2: as strong in the dark")


def test_structured_noise_within_the_structures_levels():
    levels = [("mixed", 0.1, 0.5, 0.8), ("mixed", 0.1, 0.6, 0.8), ("structure", 0.0, 0.3, 0.1)]
    advice = advise(scores(*levels), structure())
    assert advice.off == () and advice.verdict == "inseparable"
    assert "hold as much of the structures" in advice.reasons[-1]


def test_a_high_price_makes_the_advice_less_clear():
    dear = (STRIPES[0], ("artefact", 0.0789, 0.15, 0.75), *STRIPES[2:])
    advice = advise(scores(*dear), structure())
    assert advice.off == (1, 2) and advice.lost > 0.5 and advice.confidence == "medium"
    assert any("high price" in r and "compare with level 1 off" in r for r in advice.reasons)


def test_an_artefact_coarser_than_some_structures():
    """Curtaining of a micrograph, whose cracks are finer than its curtains."""
    levels = (
        ("coarse", 2.0, 2.1, 0.15),
        ("artefact", 3.0, 2.9, 0.35),
        ("artefact", 4.0, 4.2, 0.67),
        ("artefact", 2.0, 2.2, 0.52),
    )
    advice = advise(scores(*levels), structure())
    assert advice.off == () and advice.verdict == "inseparable"
    assert advice.reasons[0].startswith("Level 1: as strong") and "finer" in advice.reasons[-1]
    # hardly anything there: it does not stand in the way
    faint = (("coarse", 0.2, 0.2, 0.15), *levels[1:])
    assert advise(scores(*faint), structure()).off == (1, 2, 3)


def test_an_artefact_that_reaches_the_top_is_not_removed_whole():
    levels = [*STRIPES[:3], ("artefact", 0.05, 0.06, 0.6)]
    advice = advise(scores(*levels), structure())
    assert advice.off and advice.confidence == "medium"
    assert any("Level 4, the top" in r and "some will be left" in r for r in advice.reasons)


def test_without_a_background_only_lines_are_believed():
    lines = [(v, d, e, None) for v, d, e, _ in STRIPES]
    advice = advise(scores(*lines), None)
    assert advice.off == (1, 2) and advice.confidence == "low"
    assert "draw a rectangle" in advice.reasons[-1]
    nothing = advise(scores(*[("structure", 0.01, 0.5, None)] * 4), None)
    assert (nothing.off, nothing.verdict, nothing.confidence) == ((), "nothing", "low")


def test_a_variant_whose_artefact_has_moved_up():
    moved = (("off", 0.0, 0.0, 0.0), *STRIPES[1:])
    advice = advise(scores(*moved), structure())
    assert advice.off == (1, 2) and advice.already == (1,) and advice.confidence == "high"
    assert advice.reasons[-1].startswith("The model was trained without level 1; level 2 may hold")


def test_a_variant_without_the_artefact_needs_nothing_more():
    clean = (("off", 0.0, 0.0, 0.0),) * 2
    clean += (("structure", 0.004, 0.03, 0.2), ("structure", 0.002, 0.08, 0.3))
    advice = advise(scores(*clean), structure())
    assert (advice.off, advice.verdict, advice.already) == ((), "nothing", (1, 2))
    assert advice.in_words() == "Switch nothing more off (clear)."


def test_json_holds_everything():
    advice = advise(scores(*STRIPES), structure())
    data = advice.to_json()
    words = data.pop("in_words")
    assert Advice(**data) == advice and words == advice.in_words()


def test_levels_as_they_are_spoken():
    said = [spoken(off) for off in ((), (1,), (2, 1), (1, 2, 3), (1, 3), (1, 2, 4))]
    assert said == [
        "no level",
        "level 1",
        "levels 1-2",
        "levels 1-3",
        "levels 1 and 3",
        "levels 1, 2 and 4",
    ]
