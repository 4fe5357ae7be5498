import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_hdn.core.config import NetworkConfig, TrainingConfig
from napari_hdn.core.errors import ModelFolderError
from napari_hdn.core.training.residuals import ResidualCheck
from napari_hdn.core.training.summary import LossRecord, Origin, TrainingSummary
from napari_hdn.io.models.library import models_folder
from napari_hdn.io.models.variants import read_variant, variants_of

RESIDUALS = ResidualCheck(
    pixels=9, variance=1.1, kurtosis=0.0, lag_y=0.0, lag_x=0.2, signal=(), variance_at=(),
    kurtosis_at=(),
)  # fmt: skip


def record(part: str, step: int, loss: float) -> LossRecord:
    return LossRecord(
        part=part, step=step, loss=loss, reconstruction=loss - 0.5, kl_per_level=(0.0, 0.3, 0.2)
    )


HISTORY = (record("training", 1, 9), record("validation", 2, 5), record("training", 3, 4))


def model(name: str, off: tuple[int, ...] = (), place: Path | None = None, **summary) -> Path:
    """A model's folder with nothing but its config.json."""
    folder = (place or models_folder()) / name
    folder.mkdir(parents=True)
    training = TrainingConfig(network=NetworkConfig(levels=3, deactivated_levels=off))
    given = {
        "version": "1", "created": "2026-01-01T00:00:00+00:00", "steps": 40, "seconds": 1.5,
        "stopped": False, "device": "CPU", "data": ["a"], "data_low": 0, "data_high": 9,
        "family": "f", **summary,
    }  # fmt: skip
    made = TrainingSummary.model_validate(given).model_dump(mode="json")
    data = {"training": training.model_dump(mode="json"), "summary": made}
    (folder / "config.json").write_text(json.dumps(data))
    return folder


def origin(parent: str = "cells") -> Origin:
    return Origin(base="cells", parent=parent, parent_created="x", begun="warm", steps_before=40)


def test_what_a_table_shows():
    folder = model("v", (1,), history=HISTORY, residuals=RESIDUALS, origin=origin(), stopped=True)
    read = read_variant(folder)
    assert (read.name, read.folder, read.family) == ("v", folder, "f")
    assert (read.levels, read.levels_off, read.rule) == (3, (1,), "prior")
    assert (read.parent, read.begun, read.is_first) == ("cells", "warm", False)
    assert (read.steps, read.stopped) == (40, True)
    assert (read.loss, read.reconstruction, read.kl_per_level) == (5, 4.5, (0.0, 0.3, 0.2))
    assert read.residuals == RESIDUALS


def test_what_is_not_known_is_none():
    read = read_variant(model("v"))
    assert (read.loss, read.reconstruction, read.kl_per_level) == (None, None, ())
    assert (read.residuals, read.parent, read.begun, read.is_first) == (None, None, "scratch", True)


def test_where_nothing_was_held_out_the_training_losses_are_shown():
    read = read_variant(model("v", history=(HISTORY[0], HISTORY[2])))
    assert read.loss == 4


def test_a_family_wherever_its_folders_are(tmp_path: Path):
    model("best", (1, 2), origin=origin("cells HDN2-3"))
    model("cells HDN2-3", (1,), origin=origin())
    model("cells")
    model("others", family="g")
    model("again", (1,), tmp_path, origin=origin(), created="2026-02-01T00:00:00+00:00")
    names = [v.name for v in variants_of(models_folder() / "cells")]
    assert names == ["cells", "cells HDN2-3", "best"]
    names = [v.name for v in variants_of(str(tmp_path / "again"))]
    assert names == ["cells", "cells HDN2-3", "again", "best"]
    unsaved = SimpleNamespace(folder=None, summary=SimpleNamespace(family="g"))
    assert [v.name for v in variants_of(unsaved)] == ["others"]


def test_damaged_folders_are_left_out():
    cells = model("cells")
    for name, text in (("cut", "{"), ("list", "[]"), ("empty", "{}"), ("other", '{"summary": 1}')):
        (models_folder() / name).mkdir()
        (models_folder() / name / "config.json").write_text(text)
        with pytest.raises(ModelFolderError, match=f"model {name} is damaged"):
            read_variant(models_folder() / name)
    (models_folder() / "bytes").mkdir()
    (models_folder() / "bytes" / "config.json").write_bytes(b"\xff\xfe")
    (models_folder() / "noise models").mkdir()
    (models_folder() / "noise models" / "config.json").write_text("{}")
    assert [v.name for v in variants_of(cells)] == ["cells"]


def test_a_missing_model_is_told(tmp_path: Path):
    with pytest.raises(ModelFolderError, match=r"no model in .*gone: No such file"):
        variants_of(tmp_path / "gone")


def test_models_of_before_there_were_families_are_each_their_own():
    folders = [model(name, family="", seconds=s) for name, s in (("a", 1.5), ("b", 2.5))]
    for folder in folders:
        data = json.loads((folder / "config.json").read_text())
        del data["summary"]["family"], data["summary"]["origin"]
        (folder / "config.json").write_text(json.dumps(data))
        assert [v.folder for v in variants_of(folder)] == [folder]


def test_no_torch_is_needed():
    code = "import sys, napari_hdn.io.models.variants; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
