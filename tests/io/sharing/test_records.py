"""Lines of a list of models, and models side by side."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from napari_hdn.core.errors import ModelFolderError, RecipeError
from napari_hdn.core.noise.base import noise_model_to_json
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.recipes.environment import Environment
from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.looks import LevelLook, LevelRecord
from napari_hdn.core.recipes.making import to_text
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.recipes.schema import CalibrationRecord, CheckRecord
from napari_hdn.io.models.comparison import compare_models
from napari_hdn.io.models.library import models_folder
from napari_hdn.io.models.notes import read_notes, write_notes
from napari_hdn.io.models.records import noise_in_words, read_record, stamp
from napari_hdn.io.recipes.files import read_recipe
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
    code = "import sys, napari_hdn.io.models.records, napari_hdn.io.models.comparison as m; "
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
    rows = {row.what: row for row in compare_models([folder, twin, folder])}
    differ = {what: row.values for what, row in rows.items() if row.differs}
    assert differ == {
        "trained steps": ("6", "1000", "6"),
        "learning rate": ("0.003", "0.001", "0.003"),
        "network: deactivated levels": ("–", "1", "–"),
    }
    assert rows["noise model: gain"].values == ("2",) * 3
    assert rows["network: deactivation"].values == ("prior",) * 3
    assert rows["images"].values[0] == "cells TYX 4 x 64 x 64"
    assert rows["normalisation: mean"].values[0] == "20"


def test_what_recipes_hold_side_by_side(folder):
    recipe = read_recipe(folder)
    twin = shutil.copytree(folder, models_folder() / "twin")
    (twin / "recipe.json").write_text(to_text(trained_in_two_parts(recipe)))
    (twin / "levels.json").write_text(LOOK.model_dump_json())
    rows = {row.what: row.values for row in compare_models([folder, twin]) if row.differs}
    shared = "cells.tif, TYX 4 x 64 x 64 uint16, SHA-256"
    assert rows == {
        "training: part 1": ("", "steps 0 to 400 of a budget of 30 min, stopped"),
        "training: part 2": ("", "steps 400 to 600 of a budget of 200 steps"),
        "image 1": ("", f"{shared} {'a' * 12}"),
        **{f"image {n}": ("", f"{shared} {'b' * 12}") for n in range(2, 9)},
        "further images": ("", "2, SHA-256 of their checksums 70ae1c5307f5"),
        "trained with: napari-hdn": ("", "1.0"),
        "trained with: Python": ("", "3.11.2"),
        "trained with: PyTorch": ("", "2.6.0, then 2.7.0"),
        "trained with: NumPy": ("", "2.0.0"),
        "trained with: system": ("", "Linux"),
        "trained with: device": ("", "CPU"),
        "trained with: precision": ("", "float32"),
        "trained with: threads": ("", "2"),
        "trained with: processes": ("", "1"),
        "noise model: calibrated from": ("", "repeats, of flat.tif"),
        "noise model: checks": ("", "mean of 2 checks failed"),
        "last look at the levels": (
            "",
            "Switch off level 1 (level 1 S1 0.9, S2 0.7; level 2 S1 0.1)",
        ),
    }
    (twin / "recipe.json").write_text("{")
    with pytest.raises(RecipeError, match=r"twin/recipe\.json is damaged"):
        compare_models([folder, twin])


def test_models_of_before_there_were_recipes(folder):
    twin = shutil.copytree(folder, models_folder() / "old")
    (twin / "recipe.json").unlink()
    rows = {row.what: row for row in compare_models([folder, twin])}
    assert rows["weights (SHA-256)"].values == (read_recipe(folder).model.sha256[:12], "")
    assert not rows["seed"].differs


ENVIRONMENT = Environment(
    napari_hdn="1.0", python="3.11.2", torch="2.6.0", numpy="2.0.0", system="Linux", device="CPU",
    precision="float32", threads=2,
)  # fmt: skip
LOOK = LevelLook(
    image="cells", shape=(64, 64), looked="2026-01-02T03:04:05+00:00", weights_sha256="0" * 64,
    advised_off=(1,), confidence="high", in_words="Switch off level 1", reasons=(),
    levels=(
        LevelRecord(level=1, share=None, kl=None, s1=0.9, s2=0.7, s3=None, verdict="noise"),
        LevelRecord(level=2, share=None, kl=None, s1=0.1, s2=None, s3=None, verdict="structure"),
    ),
)  # fmt: skip


def trained_in_two_parts(recipe):
    """A recipe with ten images, a continuation on a newer torch, and a calibration."""
    image = ImageRecord(
        name="cells.tif", axes="TYX", shape=(4, 64, 64), dtype="uint16", sha256="a" * 64
    )
    others = [image.model_copy(update={"sha256": "b" * 64})] * 9
    first = TrainingPart(
        first_step=0, last_step=400, minutes=30, steps=None, origin_step=0, ended="stopped",
        seconds=900, environment=ENVIRONMENT, images=(image, *others),
    )  # fmt: skip
    second = first.model_copy(
        update={
            "first_step": 400, "last_step": 600, "minutes": None, "steps": 200, "images": (),
            "ended": "complete", "environment": ENVIRONMENT.model_copy(update={"torch": "2.7.0"}),
        }
    )  # fmt: skip
    calibration = CalibrationRecord(
        source="repeats", reason="", asked_for="auto", data=("flat.tif",),
        checks=(
            CheckRecord(name="mean", verdict="bad", text=""),
            CheckRecord(name="variance", verdict="good", text=""),
        ),
    )  # fmt: skip
    noise = recipe.training.noise.model_copy(update={"calibration": calibration})
    training = recipe.training.model_copy(update={"parts": (first, second), "noise": noise})
    return recipe.model_copy(update={"training": training})


def test_one_that_cannot_be_compared(folder):
    twin = _changed(folder, "twin", lambda data: data.pop("summary"))
    with pytest.raises(ModelFolderError, match="twin"):
        compare_models([folder, twin])
