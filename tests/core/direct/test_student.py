import copy
from pathlib import Path

import pytest
import torch

from napari_hdn.core.direct.student import check_fits
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.identity import fingerprint
from taught import direct_of


def test_a_fingerprint_is_of_the_weights_not_of_the_name(model, tmp_path):
    own = fingerprint(model)
    saved = type(model).load(model.save(tmp_path / "somewhere"))
    assert fingerprint(saved) == own
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(other.network.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(other) != own
    shifted = copy.deepcopy(model)
    shifted.normalisation = type(model.normalisation)(20.5, 4.0, True)
    assert fingerprint(shifted) != own


def test_what_its_model_taught_fits(model):
    check_fits(direct_of(model), model, ())
    check_fits(direct_of(model, levels_off=(1,)), model, (1,))


def test_other_models_and_other_levels_are_refused(model):
    student = direct_of(model, levels_off=(1,))
    with pytest.raises(
        ConfigurationError, match="taught with level 1 off, but no level shall be off"
    ):
        check_fits(student, model, ())
    trained_on = copy.deepcopy(model)
    with torch.no_grad():
        next(trained_on.network.parameters()).add_(1)
    with pytest.raises(ConfigurationError, match="which has been trained since"):
        check_fits(student, trained_on, (1,))
    trained_on.summary = model.summary.model_copy(update={"created": "2026-12-24"})
    trained_on.folder = Path("another")
    with pytest.raises(ConfigurationError, match="not by another"):
        check_fits(student, trained_on, (1,))
