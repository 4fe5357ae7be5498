"""Noise models as files."""

import json

import numpy as np
import pytest

from calibrated import make_calibration
from napari_hdn.core.calibration.record import Calibration
from napari_hdn.core.errors import NoiseModelError, OutputError
from napari_hdn.core.noise.base import load_noise_model
from napari_hdn.core.noise.gmm import GaussianMixture
from napari_hdn.io.models.library import list_models, models_folder
from napari_hdn.io.noise_models import (
    free_noise_model_path,
    list_noise_models,
    load_calibration,
    noise_models_folder,
    save_calibration,
)


@pytest.fixture
def made() -> Calibration:
    return make_calibration()


@pytest.fixture
def mixture(made):
    from dataclasses import replace

    return replace(made, noise_model=GaussianMixture(np.zeros((9, 2)), 100.0, 300.0, 4.0))


def test_a_calibration_comes_back_whole(made, tmp_path):
    path = save_calibration(made, tmp_path / "new" / "camera.json")
    again = load_calibration(path)
    assert isinstance(again, Calibration)
    assert again.checks == made.checks and again.config == made.config
    assert again.noise_model.describe() == made.noise_model.describe()
    assert [p.name for p in path.parent.iterdir()] == ["camera.json"]


def test_a_noise_model_without_calibration_is_a_noise_model(tmp_path):
    (tmp_path / "n.json").write_text(json.dumps({"kind": "gaussian", "sigma": 3.0}))
    assert load_calibration(tmp_path / "n.json").describe() == "Gaussian noise, sigma 3 counts"


def test_a_file_is_never_written_over(made, mixture, tmp_path):
    for name, content in (("a.json", made), ("a.npz", mixture)):
        (tmp_path / name).write_text("mine")
        with pytest.raises(OutputError, match="exists already and was left alone"):
            save_calibration(content, tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"


def test_a_place_that_cannot_be_written(made, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be written"):
        save_calibration(made, tmp_path / "file" / "a.json")


def test_other_tools_get_a_mixture_and_nothing_else(made, mixture, tmp_path):
    path = save_calibration(mixture, tmp_path / "gmm.npz")
    assert load_noise_model(path).signal_range == (100.0, 300.0)
    with pytest.raises(NoiseModelError, match="holds a GMM, and this is Poisson-Gaussian"):
        save_calibration(made, tmp_path / "line.npz")
    assert not (tmp_path / "line.npz").exists()


def test_the_newest_is_listed_first_and_none_is_a_trained_model(made):
    for name in ("config", "config"):
        path = free_noise_model_path(name)
        save_calibration(made, path)
    assert sorted(p.name for p in list_noise_models()) == ["config-2.json", "config.json"]
    assert noise_models_folder().parent == models_folder() and list_models() == []
