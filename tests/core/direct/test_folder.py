import json

import pytest
import torch

from napari_hdn.core.direct import folder as folders
from napari_hdn.core.errors import ModelFolderError, OutputError
from taught import direct_of


@pytest.fixture
def saved(model, tmp_path):
    return folders.save(direct_of(model, levels_off=(1,)), tmp_path / "mean")


def test_what_is_loaded_is_what_was_saved(model, saved):
    made, again = direct_of(model, levels_off=(1,)), folders.load(saved)
    assert again.config == made.config and again.summary == made.summary
    assert again.folder == saved and again.name == "mean" and again.parameters == made.parameters
    state = again.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in made.network.state_dict().items())
    assert not again.network.training


def test_a_folder_holds_no_pickle_and_states_its_version(saved):
    assert sorted(p.name for p in saved.iterdir()) == ["direct.json", "direct.safetensors"]
    data = json.loads((saved / "direct.json").read_text())
    assert data["schema_version"] == 1 and data["format"] == "napari-hdn direct network"


def test_nothing_is_written_over(model, saved):
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    with pytest.raises(OutputError, match="exists and is not empty"):
        folders.save(direct_of(model, seed=1), saved)
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    with pytest.raises(OutputError, match="is a file"):
        folders.save(direct_of(model), saved / "direct.json")


@pytest.mark.parametrize("name", ["direct.json", "direct.safetensors"])
def test_missing_and_damaged_files_are_named(saved, name):
    (saved / name).write_bytes((saved / name).read_bytes()[:50])
    with pytest.raises(ModelFolderError, match=f"{name} of direct network mean is damaged"):
        folders.load(saved)
    (saved / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{name} is missing"):
        folders.load(saved)


def test_weights_of_another_network_are_damaged(model, saved):
    data = json.loads((saved / "direct.json").read_text())
    data["distillation"]["network"]["widths"] = [6, 9]
    (saved / "direct.json").write_text(json.dumps(data))
    with pytest.raises(
        ModelFolderError, match=r"direct.safetensors of direct network mean is damaged"
    ):
        folders.load(saved)


@pytest.mark.parametrize("content", ['{"schema_version": 1}', "[]", '{"distillation": 3}'])
def test_other_json_is_damaged(saved, content):
    (saved / "direct.json").write_text(content)
    with pytest.raises(ModelFolderError, match=r"direct.json of direct network mean is damaged"):
        folders.load(saved)


def test_a_newer_one_asks_for_an_update(saved):
    data = json.loads((saved / "direct.json").read_text())
    (saved / "direct.json").write_text(json.dumps({**data, "schema_version": 99}))
    with pytest.raises(ModelFolderError, match=r"newer napari-hdn.*format 99.*Update"):
        folders.load(saved)
