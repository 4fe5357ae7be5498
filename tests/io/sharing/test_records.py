"""Lines of a list of models, and models side by side."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from napari_hdn.core.errors import ModelFolderError
from napari_hdn.core.noise.base import noise_model_to_json
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.io.library import models_folder
from napari_hdn.io.model_comparison import compare_models
from napari_hdn.io.model_records import noise_in_words, read_record, stamp
from napari_hdn.io.notes import read_notes, write_notes
from sharing import contents


def test_what_is_told_of_a_model(folder):
    record = read_record(folder)
    assert record.error is None and record.name == "my cells"
    assert (record.steps, record.levels, record.levels_off, record.direct) == (6, 2, (), 1)
    assert record.noise == "Poisson-Gaussian" and record.data == ("cells TYX 4 x 64 x 64",)
    assert record.bytes == sum(len(content) for content in contents(folder).values())
    assert record.written == max(p.stat().st_mtime for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("config.json", b"{", r"config\.json of model my cells is damaged"),
        ("config.json", None, "There is no model in"),
        ("weights.safetensors", None, r"weights\.safetensors is missing"),
        ("noise_model.json", b"[]", r"noise_model\.json of my cells cannot be read"),
        ("noise_model.json", b'{"kind": "refined"}', r"noise_model\.json of my cells cannot"),
    ],
)
def test_one_that_cannot_be_read_says_why(folder, name, content, complaint):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    record = read_record(folder)
    with pytest.raises(ModelFolderError, match=complaint):
        raise ModelFolderError(record.error)
    assert record.bytes > 0


def test_notes_do_not_look_like_a_training(folder):
    before = read_record(folder).written
    write_notes(folder, "confocal, 63 x", read_notes(folder))
    os.utime(folder / "notes.txt", (before + 500, before + 500))
    assert read_record(folder).written == before
    os.utime(folder / "weights.safetensors", (before + 900, before + 900))
    assert read_record(folder).written == before + 900


def test_a_stamp_changes_with_what_is_told(folder):
    before = stamp(folder)
    assert stamp(folder) == before
    (folder / "config.json").write_text("{}")
    assert stamp(folder) != before


def test_noise_in_words():
    model = PoissonGaussian([1.0, 2.0], [1.0, 1.0], [1.0, 1.0])
    assert noise_in_words(noise_model_to_json(model)) == "Poisson-Gaussian, a curve per image (2)"
    refined = noise_model_to_json(Refined(Gaussian(6.25), [1.1]))
    assert noise_in_words(refined) == "Gaussian, sigma 6.25, refined"


def test_lists_need_no_torch():
    code = "import sys, napari_hdn.io.model_records, napari_hdn.io.model_comparison as m; "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def _changed(folder, name, change):
    twin = shutil.copytree(folder, models_folder() / name)
    data = json.loads((twin / "config.json").read_text())
    change(data)
    (twin / "config.json").write_text(json.dumps(data))
    return twin


def test_models_side_by_side(folder):
    def change(data):
        data["training"]["learning_rate"] = 0.001
        data["training"]["network"]["deactivated_levels"] = [1]
        del data["training"]["network"]["deactivation"]  # as in older models
        data["summary"]["steps"] = 1000

    twin = _changed(folder, "twin", change)
    (twin / "recipe.json").write_text('{"data": {"checksum": "abc"}, "curve": [1, 2, 3]}')
    rows = {row.what: row for row in compare_models([folder, twin, folder])}
    differ = {what: row.values for what, row in rows.items() if row.differs}
    assert differ == {
        "trained steps": ("6", "1000", "6"),
        "learning rate": ("0.003", "0.001", "0.003"),
        "network: deactivated levels": ("–", "1", "–"),
        "recipe: data: checksum": ("", "abc", ""),
        "recipe: curve": ("", "1, 2, 3", ""),
    }
    assert rows["noise model: gain"].values == ("2",) * 3
    assert rows["network: deactivation"].values == ("prior",) * 3
    assert rows["images"].values[0] == "cells TYX 4 x 64 x 64"
    assert rows["normalisation: mean"].values[0] == "20"


def test_one_that_cannot_be_compared(folder):
    twin = _changed(folder, "twin", lambda data: data.pop("summary"))
    with pytest.raises(ModelFolderError, match="twin"):
        compare_models([folder, twin])
