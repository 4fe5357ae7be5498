import time

import pytest

from napari_hdn.core.calibration.steps import finish, in_thread, part


def test_steps_of_a_part_lie_within_it():
    def steps():
        yield 0.0, "a"
        yield 1.0, "b"
        return 7

    def whole():
        return (yield from part(steps(), 0.2, 0.6))

    told = list(whole())
    assert told == [(0.2, "a"), (pytest.approx(0.6), "b")] and finish(steps()) == 7
    assert finish(whole()) == 7


def test_work_that_calls_back_becomes_steps():
    def work(tell):
        for k in range(5):
            tell(k / 5)
            time.sleep(0.05)
        return "made"

    def whole():
        return (yield from in_thread(work, "working"))

    steps = whole()
    told = []
    with pytest.raises(StopIteration) as over:
        while True:
            told.append(next(steps))
    assert over.value.value == "made" and told == sorted(told)
    assert all(doing == "working" for _, doing in told)


def test_an_error_in_the_thread_arrives():
    def work(tell):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        finish(in_thread(work, "working"))
