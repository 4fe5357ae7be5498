import pytest
from pydantic import ValidationError

from napari_hdn.core.direct.config import DirectConfig, DirectNetworkConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minutes": 2, "steps": 10}, "either minutes or steps"),
        ({"minutes": None}, "either minutes or steps"),
        ({"samples": 3}, "choose 3 -> 4"),
        ({"patch_px": 60}, "choose 60 -> 64"),
        ({"learns": "mode"}, "mean"),
        ({"minutes": float("inf")}, "finite"),
    ],
)
def test_what_contradicts_itself_is_told(fields, message):
    with pytest.raises(ValidationError, match=message):
        DirectConfig(**fields)


def test_the_median_takes_any_number_of_samples():
    assert DirectConfig(learns="median", samples=3).samples == 3


def test_multiple():
    assert DirectNetworkConfig(unshuffle=2, widths=(32, 48, 64)).multiple == 8
    assert DirectNetworkConfig(unshuffle=4, widths=(16,)).multiple == 4


def test_json_round_trip():
    config = DirectConfig(deactivated_levels=(1, 2), learns="median")
    assert DirectConfig.model_validate_json(config.model_dump_json()) == config
