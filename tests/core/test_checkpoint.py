import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.errors import ModelFolderError, OutputError
from simulated import run_to_end, simulate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from napari_hdn.core.axes import ImageStack
    from napari_hdn.core.config import TrainingConfig
    from simulated import TINY

    config = TrainingConfig(
        network=TINY, minutes=None, steps=3, patch_px=16, batch_size=2, device="cpu"
    )
    folder = tmp_path_factory.mktemp("trained") / "model"
    run_to_end([ImageStack(simulate(), "TYX", "cells")], config, folder=folder)
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    import shutil

    return shutil.copytree(folder, tmp_path / "copy")


def test_a_file_without_permission_is_not_called_damaged(folder, monkeypatch):
    real = Path.open

    def refuse(path, *args, **options):
        if path.name == "weights.safetensors":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        ModelFolderError,
        match=r"weights\.safetensors of model model cannot be read: Permission denied",
    ):
        checkpoint.load(folder)


def test_saved_and_loaded_models_restore_the_same(folder, tmp_path):
    model = checkpoint.load(folder)
    again = checkpoint.load(model.save(tmp_path / "again"))
    image = simulate((30, 41))
    np.testing.assert_array_equal(
        model.restore(image, "YX", precision="float32").mean,
        again.restore(image, "YX", precision="float32").mean,
    )
    assert again.summary == model.summary and again.config == model.config
    assert again.normalisation == model.normalisation and again.normalisation.stabilised


def test_a_folder_holds_no_pickle_and_states_its_version(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json", "noise_model.json", "recipe.json", "resume.ckpt", "weights.safetensors",
    ]  # fmt: skip
    data = json.loads((folder / "config.json").read_text())
    assert data["schema_version"] == 1 and data["version"]
    assert set(torch.load(folder / "resume.ckpt", weights_only=True)) >= {"step", "optimizer"}


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "noise_model.json"])
def test_missing_files_are_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{name} is missing"):
        checkpoint.load(copy)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "noise_model.json"])
def test_damaged_files_are_named(copy, name):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFolderError, match=name):
        checkpoint.load(copy)


def test_damaged_resume_file_is_named(copy):
    data = (copy / "resume.ckpt").read_bytes()
    (copy / "resume.ckpt").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFolderError, match=r"resume\.ckpt"):
        checkpoint.load_resume(copy)
    (copy / "resume.ckpt").unlink()
    with pytest.raises(ModelFolderError, match="cannot be continued"):
        checkpoint.load_resume(copy)


def test_a_newer_model_is_refused(copy):
    data = json.loads((copy / "config.json").read_text())
    data["schema_version"], data["version"] = 99, "9.1"
    (copy / "config.json").write_text(json.dumps(data))
    with pytest.raises(ModelFolderError, match=r"newer napari-hdn \(9.1, format 99"):
        checkpoint.load(copy)


def test_weights_of_another_network_are_refused(copy):
    data = json.loads((copy / "config.json").read_text())
    data["training"]["network"]["channels"] = 16
    (copy / "config.json").write_text(json.dumps(data))
    with pytest.raises(ModelFolderError, match=r"weights.*size mismatch for"):
        checkpoint.load(copy)


def test_no_folder(tmp_path):
    with pytest.raises(ModelFolderError, match="no model folder"):
        checkpoint.load(tmp_path / "none")


def test_a_full_disk_leaves_the_old_model_whole(copy, monkeypatch):
    model = checkpoint.load(copy)
    before = {p.name: p.read_bytes() for p in copy.iterdir()}

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        model.save(copy)
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == before


def test_a_full_disk_leaves_no_half_of_a_new_model(copy, tmp_path, monkeypatch):
    model = checkpoint.load(copy)

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_hdn.core.checkpoint.save_file", full)
    with pytest.raises(OutputError, match=r"weights\.safetensors could not be written"):
        model.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_model_is_not_saved_over_another(copy, tmp_path):
    model = checkpoint.load(copy)
    model.folder = None
    with pytest.raises(OutputError, match="There is a model in"):
        model.save(copy)


@pytest.mark.parametrize("std", ["wide", None, 0, -1])
def test_a_normalisation_that_is_none_is_refused(copy, std):
    data = json.loads((copy / "config.json").read_text())
    data["normalisation"]["std"] = std
    (copy / "config.json").write_text(json.dumps(data))
    with pytest.raises(ModelFolderError, match=r"config\.json .* is damaged"):
        checkpoint.load(copy)


def test_a_model_that_was_saved_before_there_were_families_has_one(copy, tmp_path):
    data = json.loads((copy / "config.json").read_text())
    own = data["summary"].pop("family")
    del data["summary"]["origin"]
    (copy / "config.json").write_text(json.dumps(data))
    model = checkpoint.load(copy)
    family = model.summary.family
    assert family not in ("", own) and model.summary.origin is None
    moved = copy.rename(tmp_path / "renamed")
    assert checkpoint.load(moved).summary.family == family
    model.save(tmp_path / "again")
    assert checkpoint.load(tmp_path / "again").summary.family == family
    data["summary"]["created"] = "2026-01-01T00:00:00+00:00"
    (moved / "config.json").write_text(json.dumps(data))
    assert checkpoint.load(moved).summary.family != family


class Evil:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return (open, (self.mark, "w"))


@pytest.mark.parametrize("legacy", [True, False])
def test_a_resume_file_that_would_run_code_is_refused(copy, tmp_path, legacy):
    mark = tmp_path / "it ran"
    path = copy / "resume.ckpt"
    torch.save({"step": Evil(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelFolderError, match=r"resume\.ckpt of model copy is damaged"):
        checkpoint.load_resume(copy)
    assert not mark.exists()
    torch.load(path, weights_only=False)["step"].close()  # it would have
    assert mark.exists()


def test_a_resume_file_that_begins_as_another_format_is_refused(copy, tmp_path, monkeypatch):
    """It ends as an archive, but torch would read the older format before, which runs code."""
    path, old = copy / "resume.ckpt", tmp_path / "old.ckpt"
    torch.save({"step": Evil(tmp_path / "it ran")}, old, _use_new_zipfile_serialization=False)
    path.write_bytes(old.read_bytes() + path.read_bytes())
    assert zipfile.is_zipfile(path)
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("it was read"))
    with pytest.raises(ModelFolderError, match=r"resume\.ckpt .* not in the format of napari-hdn"):
        checkpoint.load_resume(copy)


def test_a_resume_file_that_would_unpack_to_any_size_is_refused(copy):
    with zipfile.ZipFile(copy / "resume.ckpt") as stored:
        entries = {e.filename: stored.read(e) for e in stored.infolist()}
    with zipfile.ZipFile(copy / "resume.ckpt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    with pytest.raises(ModelFolderError, match="it is compressed"):
        checkpoint.load_resume(copy)


@pytest.mark.parametrize("name", ["config.json", "noise_model.json"])
@pytest.mark.parametrize(
    ("text", "complaint"), [("[" * 100_000, "nested too deeply"), ('{"a": NaN}', "no number")]
)
def test_json_that_does_harm_is_refused(copy, name, text, complaint):
    (copy / name).write_text(text)
    with pytest.raises(ModelFolderError, match=f"{name} .* is damaged .*{complaint}"):
        checkpoint.load(copy)


def test_noise_models_within_noise_models_without_end(copy):
    data = json.loads((copy / "noise_model.json").read_text())
    for _ in range(300):
        data = {"kind": "refined", "inner": data, "scale": [1.0], "units": None}
    (copy / "noise_model.json").write_text(json.dumps(data))
    with pytest.raises(ModelFolderError, match=r"noise_model\.json"):
        checkpoint.load(copy)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "gaussian", "sigma": 5.0}, "works in units of the noise"),
        ({"differences": "prior"}, "cannot be measured along 'prior'"),
    ],
)
def test_a_noise_model_that_the_network_cannot_use(copy, change, complaint):
    """Found by feeding damaged folders: it was loaded, and failed when an image was restored."""
    data = json.loads((copy / "noise_model.json").read_text())
    (copy / "noise_model.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(ModelFolderError, match=complaint):
        checkpoint.load(copy)
