import pytest

from napari_hdn.core import checkpoint
from napari_hdn.core.errors import OutputError
from napari_hdn.core.lock import NoLocksError
from napari_hdn.core.training import claim
from napari_hdn.core.training.claim import NAME, claimed
from napari_hdn.core.training.start import train


def test_two_trainings_do_not_write_over_each_other(stack, tiny_config, tmp_path):
    folder = tmp_path / "model"
    first = train([stack], tiny_config, folder=folder)
    next(first)
    with pytest.raises(
        OutputError, match=r"Another program.* is training a model in .*model right"
    ):
        list(train([stack], tiny_config, folder=folder))
    *_, finished = first
    assert finished.model.folder == folder
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["config.json", "weights.safetensors", "noise_model.json", "recipe.json", "resume.ckpt"]
    )
    with pytest.raises(OutputError, match="not empty"):
        list(train([stack], tiny_config, folder=folder))
    again = train([stack], tiny_config, folder=folder, resume=True)
    next(again)
    with pytest.raises(OutputError, match="right now"):
        list(train([stack], tiny_config, folder=folder, resume=True))
    again.close()
    assert checkpoint.load(folder).summary.steps == tiny_config.steps


def test_what_a_killed_training_left_is_no_model_and_goes(stack, tiny_config, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / NAME).touch()
    *_, finished = train([stack], tiny_config, folder=folder)
    assert finished.model.folder == folder and not (folder / NAME).exists()
    torn = folder / ".weights.safetensors.0123456789ab.part"
    torn.write_bytes(b"half")
    (folder / ".own.part").write_bytes(b"of somebody else")
    list(train([stack], tiny_config, folder=folder, resume=True))
    assert not torn.exists() and (folder / ".own.part").exists()


def test_a_training_that_does_not_begin_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path / "new"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_locked_training_goes_on(tmp_path, monkeypatch):
    def no(path):
        raise NoLocksError(95, "not supported")

    monkeypatch.setattr(claim, "lock", no)
    with claimed(tmp_path / "a"), claimed(tmp_path / "a"):
        pass
