import pytest
from pydantic import ValidationError

from napari_hdn.core.config import NetworkConfig, NoiseConfig, RestorationConfig, TrainingConfig


def test_json_round_trip():
    config = TrainingConfig(
        network=NetworkConfig(levels=3, deactivated_levels=(1, 2)),
        noise=NoiseConfig(source="gaussian", sigma=25),
        seed=7,
    )
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TrainingConfig(patch_px=50),
            "Patch 50 is not a multiple of 16, .* choose 50 -> 64",
        ),
        (lambda: TrainingConfig(minutes=3, steps=3), "either minutes or steps"),
        (lambda: TrainingConfig(minutes=None), "either minutes or steps"),
        (lambda: NetworkConfig(deactivated_levels=(5,)), "Level 5 cannot be switched off"),
        (lambda: NetworkConfig(deactivated_levels=(4,)), "Level 4 is the top"),
        (lambda: NoiseConfig(source="gaussian"), "needs its sigma"),
        (lambda: NoiseConfig(source="file"), "Choose the noise model file"),
        (
            lambda: RestorationConfig(outputs=("mean", "std"), samples=2),
            "deviation needs at least 3",
        ),
        (lambda: RestorationConfig(outputs=("map",), samples=1), r"\(MAP\) needs at least 3"),
        (lambda: RestorationConfig(samples=0), "at least 1 sample, not 0"),
        (lambda: RestorationConfig(outputs=()), "at least one output of mean, median"),
        (lambda: RestorationConfig(outputs=("quantiles",), quantiles=(5.0,)), "between 0 and 1"),
        (
            lambda: RestorationConfig(outputs=("difference",), samples=4, difference=(2, 5)),
            "two of the samples 1 to 4; you chose 2 and 5",
        ),
        (lambda: TrainingConfig(minutes=float("inf")), "finite number"),
        (
            lambda: TrainingConfig(patch_px=16, batch_size=1, minutes=1),
            "leaves a single pixel .* batch size 1 -> 2",
        ),
        (lambda: TrainingConfig(learning_rat=1), "learning_rat"),
    ],
)
def test_contradictions_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


def test_configs_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingConfig().seed = 3


@pytest.mark.parametrize(
    ("outputs", "samples"), [(("mean",), 2), (("mean", "std"), 20), (("samples",), 20)]
)
def test_usual_numbers_of_samples(outputs, samples):
    assert RestorationConfig(outputs=outputs).samples == samples
    assert RestorationConfig(outputs=outputs, samples=7).samples == 7


def test_names_of_products():
    config = RestorationConfig(outputs=("quantiles", "mean"), quantiles=(0.05, 0.5, 0.025))
    assert config.products == ("mean", "q05", "q50", "q02.5")
