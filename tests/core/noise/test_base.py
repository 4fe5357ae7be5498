import json

import numpy as np
import pytest

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import load_noise_model, noise_model_from_json, noise_model_to_json
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian


def test_variance_curve_takes_and_gives_arrays():
    model = PoissonGaussian([2.0, 5.0], [1.0, 1.0], [0.1, 0.1])
    np.testing.assert_allclose(model.variance_curve(np.array([0.0, 10.0])), [1.0, 21.0])
    np.testing.assert_allclose(model.variance_curve(np.array([0.0, 10.0]), 1), [1.0, 51.0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "does not state its kind"),
        ([], "does not state its kind"),
        ({"kind": "magic"}, "kind 'magic'"),
        ({"kind": "gaussian", "schema_version": 99}, "newer napari-hdn"),
        ({"kind": "gaussian"}, "damaged"),
        ({"kind": "poisson_gaussian", "gain": "x", "offset": [0], "floor": [1]}, "damaged"),
    ],
)
def test_what_is_no_noise_model_is_refused(data, message):
    with pytest.raises(NoiseModelError, match=message):
        noise_model_from_json(data)


def test_files(tmp_path):
    path = tmp_path / "noise.json"
    path.write_text(json.dumps(noise_model_to_json(PoissonGaussian([2.0], [1.0], [0.1]))))
    assert float(load_noise_model(path).gain) == 2.0
    path.write_text("{")
    with pytest.raises(NoiseModelError, match="not valid JSON"):
        load_noise_model(path)
    with pytest.raises(NoiseModelError, match="cannot be read"):
        load_noise_model(tmp_path / "none.json")
