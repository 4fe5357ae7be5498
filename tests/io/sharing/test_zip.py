"""A model folder there and back."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest

from napari_hdn import api
from napari_hdn.core import checkpoint
from napari_hdn.core.direct import folder as direct
from napari_hdn.core.errors import (
    ArchiveError,
    ConfigurationError,
    ModelFolderError,
    OutputError,
    StoppedEarly,
)
from napari_hdn.core.identity import fingerprint
from napari_hdn.core.recipes.looks import LOOK, LevelLook
from napari_hdn.io.models.library import list_models, models_folder
from napari_hdn.io.sharing import contents as names
from napari_hdn.io.sharing import zip_export
from sharing import contents, restored


@pytest.fixture
def packed(folder, tmp_path):
    *_, done = api.export_model(folder, tmp_path / "cells.zip")
    assert done == api.Exported(tmp_path / "cells.zip")
    return done.path


def test_names_are_those_of_the_core():
    assert (*(checkpoint.CONFIG, checkpoint.WEIGHTS, checkpoint.NOISE, checkpoint.RESUME),) == (
        names.CONFIG,
        names.WEIGHTS,
        names.NOISE,
        names.RESUME,
    )
    assert (names.RECIPE, names.LEVELS) == (checkpoint.RECIPE, LOOK)
    assert (names.DIRECT_ABOUT, names.DIRECT_WEIGHTS) == (direct.ABOUT, direct.WEIGHTS)


def test_there_and_back_is_the_same_model(folder, packed):
    *told, done = api.import_model(packed)
    assert isinstance(done, api.Imported) and done.folder == models_folder() / "my cells-2"
    before = contents(folder)
    assert before.pop("resume.ckpt")
    assert contents(done.folder) == before
    np.testing.assert_array_equal(restored(done.folder), restored(folder))
    teacher = checkpoint.load(done.folder)
    assert direct.load(done.folder / "direct" / "mean").summary.teacher_weights == fingerprint(
        teacher
    )
    fractions = [e.fraction for e in told if isinstance(e, api.SharingProgress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert not [e for e in told if isinstance(e, api.Notice)]
    assert sorted(p.name for p in models_folder().iterdir()) == ["my cells", "my cells-2"]


def _with_paths(folder):
    """Let a model have been trained with files of Ada's, and its levels been looked at."""
    about = json.loads((folder / "config.json").read_text())
    about["training"]["noise"] = {"source": "file", "path": "/home/ada/secret/noise.npz"}
    image = {
        "name": "cells.tif", "path": "/home/ada/secret/cells.tif", "axes": "TYX",
        "shape": [4, 64, 64], "dtype": "uint16", "sha256": "a" * 64,
    }  # fmt: skip
    part = {
        "first_step": 0, "last_step": 6, "minutes": None, "steps": 6, "origin_step": 0,
        "ended": "complete", "seconds": 1, "images": [image], "environment": {
            "napari_hdn": "0", "python": "3", "torch": "2", "numpy": "2", "system": "Linux",
            "device": "CPU", "precision": "float32", "threads": 1,
        },
    }  # fmt: skip
    about["summary"]["parts"] = [part]
    (folder / "config.json").write_text(json.dumps(about))
    model = checkpoint.load(folder)
    model.save(folder)
    look = LevelLook(
        image="cells", shape=(64, 64), looked="now", weights_sha256=fingerprint(model),
        advised_off=(1,), confidence="low", in_words="", reasons=(), levels=(),
    )  # fmt: skip
    (folder / "levels.json").write_text(look.model_dump_json())
    return look


def test_what_is_sent_does_not_tell_where_things_lie(folder, tmp_path):
    look = _with_paths(folder)
    before = contents(folder)
    assert b"/home/ada" in before["config.json"] and b"/home/ada" in before["recipe.json"]
    *told, done = api.export_model(folder, tmp_path / "a.zip")
    assert len([e for e in told if isinstance(e, api.Notice)]) == 1  # what training on needs
    assert contents(folder) == before  # at home all is as it was
    with zipfile.ZipFile(done.path) as packed:
        for name in packed.namelist():
            assert b"/home" not in packed.read(name) and b"secret" not in packed.read(name), name
    *_, imported = api.import_model(done.path)
    model = checkpoint.load(imported.folder)
    assert fingerprint(model) == fingerprint(checkpoint.load(folder)) and model.look == look
    assert str(model.config.noise.path) == "noise.npz"
    image = api.read_recipe(imported.folder).training.images[0]
    assert (image.path, image.sha256) == ("cells.tif", "a" * 64)


def test_records_that_are_damaged_do_not_go_along(folder, tmp_path):
    (folder / "recipe.json").write_text("{}")
    (folder / "levels.json").write_text("[")
    *told, done = api.export_model(folder, tmp_path / "a.zip")
    texts = [e.text for e in told if isinstance(e, api.Notice)]
    assert "recipe.json is no recipe" in texts[0] and "levels.json of my cells" in texts[1]
    *_, imported = api.import_model(done.path)
    assert not (imported.folder / "recipe.json").exists()
    assert api.read_recipe(imported.folder).training.steps == 6  # of its config


def test_what_training_on_needs_goes_along_if_it_is_wanted(folder, tmp_path):
    *_, done = api.export_model(folder, tmp_path, training_state=True)
    assert done.path == tmp_path / "my cells.zip"
    *_, imported = api.import_model(done.path, "another")
    assert imported.folder == models_folder() / "another"
    assert contents(imported.folder) == contents(folder)
    assert checkpoint.load_resume(imported.folder)["step"] == 6


def test_it_is_told_what_is_left_out(folder, tmp_path):
    (folder / "thesis.docx").write_bytes(b"secret")
    (folder / ".DS_Store").write_bytes(b"x")
    *told, done = api.export_model(folder, tmp_path / "a.zip")
    notices = [e.text for e in told if isinstance(e, api.Notice)]
    assert len(notices) == 2 and "thesis.docx" in notices[0] and "resume.ckpt" in notices[1]
    assert not any(".DS" in n or "thesis" in n for n in zipfile.ZipFile(done.path).namelist())


def test_the_same_model_gives_the_same_bytes(folder, packed, tmp_path):
    twin = shutil.copytree(folder, tmp_path / "twin" / "my cells", copy_function=shutil.copyfile)
    *_, done = api.export_model(twin, tmp_path / "again.zip")
    assert done.path.read_bytes() == packed.read_bytes()


def test_nothing_is_written_over(folder, packed):
    before = packed.read_bytes()
    *_, done = api.export_model(folder, packed)
    assert done.path.name == "cells-2.zip" and packed.read_bytes() == before


def test_a_model_that_cannot_be_read_is_not_sent(folder, tmp_path):
    (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelFolderError, match="damaged"):
        list(api.export_model(folder, tmp_path / "a.zip"))
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_trained_meanwhile_is_not_sent(folder, tmp_path):
    events = api.export_model(folder, tmp_path / "a.zip")
    for event in events:
        if isinstance(event, api.SharingProgress):
            break
    checkpoint.load(folder).save(tmp_path / "other")
    shutil.copyfile(tmp_path / "other" / "config.json", folder / "config.json")
    with pytest.raises(ModelFolderError, match=r"config\.json of my cells was written while"):
        list(events)
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_only_zips(folder, tmp_path):
    with pytest.raises(ConfigurationError, match=r"cells\.h5 is none"):
        list(api.export_model(folder, tmp_path / "cells.h5"))


def test_stopped_half_way_leaves_nothing(folder, packed, tmp_path):
    for work in (
        lambda stop: api.export_model(folder, tmp_path / "b.zip", stop=stop),
        lambda stop: api.import_model(packed, stop=stop),
    ):
        stop = api.Stop()
        with pytest.raises(StoppedEarly, match="Stopped; nothing was"):
            for _ in work(stop):
                stop.request()
    assert list(tmp_path.iterdir()) == [packed] and list_models() == [folder]
    assert [p.name for p in models_folder().iterdir()] == ["my cells"]


def test_a_full_disk_leaves_nothing(folder, packed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zip_export, "_flush", full)
    with pytest.raises(OutputError, match="the disk is full; make room or choose"):
        list(api.export_model(folder, tmp_path / "b.zip"))
    assert list(tmp_path.iterdir()) == [packed]
    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(OutputError, match=r"cells\.zip could not be imported .* Nothing of it"):
        list(api.import_model(packed))
    assert [p.name for p in models_folder().iterdir()] == ["my cells"]


def test_a_folder_that_somebody_packed_by_hand(folder, tmp_path):
    """As the Finder does it, with its own additions; and without a folder around the files."""
    for prefix in ("their cells/", ""):
        path = tmp_path / "by hand.zip"
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("__MACOSX/their cells/._config.json", b"\0")
            if prefix:
                out.mkdir(prefix)
            for name, content in contents(folder).items():
                out.writestr(prefix + name, content)
            out.writestr(f"{prefix}model.pkl", b"\x80\x04K\x01.")
        *told, done = api.import_model(path)
        assert done.folder.name == ("their cells" if prefix else "by hand")
        assert contents(done.folder) == contents(folder)
        left_out, unknown = [e.text for e in told if isinstance(e, api.Notice)]
        assert "model.pkl" in left_out and "MACOSX" not in left_out
        assert "was not packed by napari-hdn" in unknown


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_checksums_are_held_against_the_files(packed, tmp_path, change):
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as given, zipfile.ZipFile(path, "w") as out:
        for entry in given.infolist():
            content = given.read(entry)
            if entry.filename.endswith("notes.txt"):
                if change == "missing":
                    continue
                content = content + b"!" * (change == "changed")
            out.writestr(entry, content)
        if change == "added":
            out.writestr("my cells/levels.json", "{}")
    with pytest.raises(ArchiveError, match=r"is not what was packed"):
        list(api.import_model(path))
    assert [p.name for p in models_folder().iterdir()] == ["my cells"]


def test_what_an_import_left_that_was_ended_by_force_goes_after_days(packed):
    old, new = models_folder() / ".import-old", models_folder() / ".import-new"
    for place in (old, new):
        (place / "model").mkdir(parents=True)
    os.utime(old, (1e9, 1e9))
    list(api.import_model(packed))
    assert not old.exists() and new.is_dir()
