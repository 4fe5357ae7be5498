"""`napari-hdn export` and `napari-hdn import`."""

import zipfile

import numpy as np
import pytest

from commands import weights
from napari_hdn import api
from napari_hdn.cli import main
from napari_hdn.io.sharing.zoo import package


def test_there_and_back(model, tmp_path, capsys):
    target = tmp_path / "sent.zip"
    assert main(["export", str(model), str(target)]) == 0
    told = capsys.readouterr().out
    assert f"Wrote {target}" in told and "Left out: resume.ckpt" in told
    assert main(["import", str(target), "--name", "theirs"]) == 0
    assert f"Model: {api.models_folder() / 'theirs'}" in capsys.readouterr().out
    ours, theirs = weights(model), weights(api.models_folder() / "theirs")
    assert all(np.array_equal(ours[k], theirs[k]) for k in ours)
    assert main(["export", "theirs", str(tmp_path), "--training-state"]) == 0  # by name
    assert (tmp_path / "theirs.zip").is_file()


def test_a_package_for_the_zoo(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(package, "check_package", lambda path: None)  # in tests/io/sharing
    command = ["export", str(model), str(tmp_path / "zoo.zip"), "--format", "bioimageio"]
    assert main(command) == 2
    assert "give --author NAME" in capsys.readouterr().err
    assert main([*command, "--author", "Ada", "--author", "Grace", "--license", "mine"]) == 2
    assert "'mine' is no license" in capsys.readouterr().err
    options = ["--author", "Ada", "--author", "Grace", "--off", "1", "--tag", "confocal"]
    assert main([*command, *options, "--description", "Cells."]) == 0
    page = zipfile.ZipFile(tmp_path / "zoo.zip").read("README.md").decode()
    assert "Ada, Grace" in page and "level 1 off" in page and "Cells." in page
    assert main(["import", str(tmp_path / "zoo.zip")]) == 0
    assert api.load_model(api.models_folder() / "model").summary.steps == 4


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["import", "gone.zip"], "gone.zip cannot be read"),
        (["export", "none", "a.zip"], "There is no model folder none"),
        (["export", "MODEL", "a.tar"], "a.tar is none"),
        (["export", "MODEL", "a.zip", "--author", "Ada"], "give --format bioimageio"),
        (
            [
                "export",
                "MODEL",
                "a.zip",
                "--format",
                "bioimageio",
                "--author",
                "A",
                "--training-state",
            ],
            "--training-state goes with --format zip",
        ),
    ],
)
def test_mistakes(model, tmp_path, monkeypatch, capsys, command, complaint):
    monkeypatch.chdir(tmp_path)
    assert main([str(model) if c == "MODEL" else c for c in command]) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
