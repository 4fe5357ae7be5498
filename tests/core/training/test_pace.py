import numpy as np
import pytest

from napari_hdn.core.training.pace import TOLERANCE, Pace


def follow(seconds, budget):
    """Steps that take so many seconds each, followed until the budget is used up."""
    pace, clock, asked = Pace(), 0.0, []
    for step, took in enumerate(seconds):
        if clock >= budget:
            break
        pace.follow(step, clock / budget)
        asked.append((pace.fraction(step), clock / budget))
        clock += took
    return pace, np.array(asked)


def test_the_line_stays_by_the_clock_with_few_knots():
    rng = np.random.default_rng(0)
    seconds = rng.gamma(50, 0.3 / 50, 3000)
    seconds[1000:1500] *= 2  # another program
    seconds[2000] += 20  # a closed lid
    pace, asked = follow(seconds, 600)
    assert np.abs(asked[:, 0] - asked[:, 1]).max() <= TOLERANCE + 1e-6
    assert len(asked) > 1400 and len(pace.knots) < 60


def test_knots_alone_give_the_same_line_again():
    rng = np.random.default_rng(1)
    pace, asked = follow(rng.gamma(2, 0.1, 400), 30)
    again = Pace(pace.knots)
    for step in range(len(asked)):
        again.follow(step, 0.123)  # another clock is not looked at
        assert again.fraction(step) == asked[step, 0]
    assert again.knots == pace.knots
    assert again.fraction(0) == asked[0, 0]  # in any order


def test_a_step_that_is_tried_again_has_one_knot():
    pace = Pace()
    pace.follow(0, 0.0)
    pace.follow(5, 0.2)
    pace.follow(5, 0.4)  # memory ran short
    assert [k[0] for k in pace.knots] == [0, 5] and pace.fraction(5) == pytest.approx(0.4)
    assert pace.fraction(10**6) == 1.0 and Pace().fraction(3) == 0.0
