"""The plot of losses stays quick however long a training is."""

from types import SimpleNamespace

from napari_hdn.ui.parts.plots.losses import LossPlot
from napari_hdn.ui.training import LossHistory


def add(history, step):
    history.add(SimpleNamespace(step=step, reconstruction=5 + 1 / step, kl_per_level=(0.1, 0.2)))


def test_a_long_history_is_thinned_with_its_ends_kept():
    history = LossHistory()
    for step in range(1, 20_001):
        add(history, step)
    assert 1000 < len(history.steps) <= 2000
    assert len(history.steps) == len(history.reconstruction) == len(history.kl)
    assert history.steps[0] == 1
    assert history.steps[-1000:] == list(range(19_001, 20_001))
    assert history.steps == sorted(history.steps)
    assert history.reconstruction == [5 + 1 / s for s in history.steps]


def test_it_is_drawn_at_most_once_a_second_and_only_when_seen(qtbot, monkeypatch):
    plot = LossPlot()
    qtbot.addWidget(plot)
    drawn = []
    monkeypatch.setattr(plot, "_draw", lambda *histories: drawn.append(len(histories[0].steps)))
    training, validation = LossHistory(), LossHistory()

    def tell():
        add(training, len(training.steps) + 1)
        plot.show_history(training, validation)

    for _ in range(5):
        tell()
    assert drawn == []
    plot.show()
    qtbot.waitUntil(lambda: drawn == [5])
    for _ in range(5):
        tell()
    assert drawn == [5]
    qtbot.waitUntil(lambda: drawn == [5, 10])
    qtbot.wait(1200)
    assert drawn == [5, 10]  # nothing new
    tell()
    tell()
    plot.show_history(training, validation, now=True)  # the end is shown at once
    assert drawn == [5, 10, 11, 12]
