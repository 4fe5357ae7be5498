import numpy as np

from napari_hdn import api
from napari_hdn.core.training.residuals import check_residuals


def check(scale):
    rng = np.random.default_rng(0)
    signal = rng.uniform(50, 150, (4, 1, 1)) + np.zeros((4, 64, 64))
    counts = signal + scale * rng.normal(size=signal.shape) * np.sqrt(2 * signal)
    return check_residuals(counts, signal, 2 * signal)


def test_the_residual_check_of_a_training_is_shown(
    train_dock, viewer, noisy, held_training, until_free, qtbot, monkeypatch
):
    found = check(1.4)
    real = api.train

    def train(*args, **kwargs):
        for event in real(*args, **kwargs):
            if isinstance(event, api.TrainingFinished):
                yield api.ResidualsChecked(7, found)
            yield event

    monkeypatch.setattr(api, "train", train)
    viewer.add_image(noisy, name="noisy")
    view = train_dock.residuals
    assert view.isHidden()
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.calls) == 1)
    held_training.go_on.set()
    until_free()
    assert not view.isHidden() and view.badge.text() == "✗"
    assert "too small" in view.sentence.text()
    np.testing.assert_allclose(view.variance.getData()[0], found.signal)
    np.testing.assert_allclose(view.variance.getData()[1], found.variance_at)
    np.testing.assert_allclose(view.kurtosis.getData()[1], found.kurtosis_at)
    (low, high) = view.plot.viewRange()[1]
    assert low < 0 and high > max(found.variance_at)
