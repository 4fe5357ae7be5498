import pytest

from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.presets import PRESETS, preset


def test_changes_are_taken_and_minutes_and_steps_exclude_each_other():
    assert preset("fast", minutes=3, seed=2).minutes == 3
    config = preset("fast", steps=50)
    assert config.steps == 50 and config.minutes is None
    assert preset("Paper", minutes=5).steps is None


def test_unknown_preset():
    with pytest.raises(ConfigurationError, match="choose one of fast, balanced, paper"):
        preset("quick")


@pytest.mark.parametrize("name", PRESETS)
def test_the_top_keeps_four_pixels_in_a_patch_except_in_the_paper(name):
    config = PRESETS[name]
    assert config.preset == name
    top = config.patch_px / config.network.multiple
    assert top == 1 if name == "paper" else top >= 4
