"""What a form says becomes a config; no viewer needed."""

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from napari_hdn import api
from napari_hdn.ui.failures import explain
from napari_hdn.ui.parts.expert import ExpertSettings, with_changes
from napari_hdn.ui.parts.progress import spoken_time
from napari_hdn.ui.training import continued


def test_untouched_expert_settings_change_nothing_not_even_by_rounding(qtbot):
    settings = ExpertSettings()
    qtbot.addWidget(settings)
    for config in api.PRESETS.values():
        settings.show_config(config)
        assert settings.changes() == {}
        assert with_changes(config, settings.changes()) == config


def test_a_changed_setting_reaches_the_config(qtbot):
    settings = ExpertSettings()
    qtbot.addWidget(settings)
    settings.show_config(api.PRESETS["fast"])
    settings.fields["network.levels"].setValue(3)
    settings.fields["rotations"].setChecked(True)
    config = with_changes(api.PRESETS["fast"], settings.changes())
    assert (config.network.levels, config.rotations) == (3, True)
    assert config.network.channels == api.PRESETS["fast"].network.channels


def test_impossible_settings_are_explained_with_their_numbers():
    with pytest.raises(ValidationError) as caught:
        with_changes(api.PRESETS["fast"], {"patch_px": 50})
    assert explain(caught.value).startswith("Patch 50 is not a multiple of")
    with pytest.raises(ValidationError) as caught:
        api.NoiseConfig(source="gaussian")
    assert explain(caught.value) == (
        "A Gaussian noise model needs its sigma in camera counts, such as 25."
    )


@pytest.mark.parametrize(
    ("stopped", "own", "wanted", "expected"),
    [
        (True, {"minutes": 10}, {"minutes": 3}, (10, None)),  # to its own end
        (True, {"minutes": 10}, {"minutes": 30}, (30, None)),  # to a later end
        (True, {"minutes": 10}, {"steps": 500}, (10, None)),  # other unit: to its own end
        (False, {"minutes": 10}, {"minutes": 3}, (3, None)),  # complete: what is asked for
        (False, {"minutes": 10}, {"steps": 50}, (None, 50)),
    ],
)
def test_budget_of_a_continued_training(stopped, own, wanted, expected):
    config = api.preset("fast", seed=7, **own)
    done = SimpleNamespace(stopped=stopped, steps=100, seconds=240.0)
    result = continued(config, done, api.preset("balanced", device="cpu", **wanted))
    assert (result.minutes, result.steps) == expected
    assert (result.seed, result.device, result.preset) == (7, "cpu", "fast")


def test_time_as_a_person_says_it():
    assert spoken_time(7.4) == "7 s"
    assert spoken_time(200) == "3 min 20 s"
    assert spoken_time(7500) == "2 h 05 min"
