import pytest
import torch

from napari_hdn.core.events import Validation
from napari_hdn.core.training.objective import Losses
from napari_hdn.core.training.progress import MAX_RECORDS, Budget, History, LossMeter


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_minutes_are_counted_over_continuations():
    clock = Clock()
    budget = Budget(2.0, None, seconds_before=60.0, clock=clock)
    budget.start()
    assert budget.fraction(7) == pytest.approx(0.5)
    clock.now += 30
    assert budget.elapsed_s == 90 and budget.remaining_s(7) == 30
    assert budget.fraction(7) == pytest.approx(0.75) and not budget.used_up(7)
    clock.now += 30
    assert budget.used_up(7)


def test_steps_and_the_time_they_will_take():
    clock = Clock()
    budget = Budget(None, 100, clock=clock)
    budget.begin_at(20)
    budget.start()
    assert budget.remaining_s(20) == float("inf")
    clock.now += 10
    assert budget.fraction(40) == 0.4 and budget.remaining_s(40) == pytest.approx(30)
    assert budget.used_up(100)


def test_a_budget_given_once_more_begins_where_the_first_ended():
    budget = Budget(None, 200, origin=100, origin_step=100)
    assert budget.fraction(100) == 0 and budget.fraction(200) == 0.5


def test_meter_gives_means_and_starts_anew():
    meter = LossMeter()
    for k in (1.0, 3.0):
        meter.add(Losses(torch.tensor(k), torch.tensor(k / 2), torch.tensor([k, 2 * k])))
    event = meter.event(5, Budget(None, 10), 0.01)
    assert event.loss == 2 and event.reconstruction == 1 and event.kl_per_level == (2, 4)
    assert event.kl == 6 and event.fraction == 0.5 and meter.count == 0


def validation(step, kl):
    return Validation(step, 1.0, 1.0, kl, (kl, 0.01))


def test_long_histories_are_thinned_out_evenly():
    history = History()
    for step in range(3 * MAX_RECORDS):
        history.keep(validation(step, 0.1))
    steps = [r.step for r in history.records]
    assert len(steps) <= MAX_RECORDS and steps == sorted(steps)
    assert steps[0] == 0 and steps[-1] == 3 * MAX_RECORDS - 1
