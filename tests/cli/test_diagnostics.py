"""The log of the command, and what it prints for a bug report."""

import json
from pathlib import Path

import pytest

from napari_hdn.cli import main
from napari_hdn.core.settings import Settings
from napari_hdn.io.log import last_job, log_path
from napari_hdn.io.settings import save_settings, settings_path


def test_a_restoration_is_in_the_log_and_in_the_diagnostics(model: Path, capsys):
    save_settings(Settings(tile_px=64))
    images, out = str(model.parent / "a.tif"), str(model.parent / "logged")
    assert main(["restore", str(model), images, "--out", out]) == 0
    text = log_path().read_text()
    assert f"napari-hdn restore {model}" in text and "exit code 0 after" in text
    facts = json.loads(last_job())
    assert facts["job"] == "restore" and facts["stack"]["path"] == images
    assert facts["config"]["tile_px"] == 64  # as it is set
    capsys.readouterr()
    assert main(["diagnostics"]) == 0
    printed = capsys.readouterr().out
    assert '"tile_px": 64' in printed and "exit code 0 after" in printed
    assert "torch: " in printed and "Free on its disk" in printed


def test_what_is_typed_wins_over_the_settings(model: Path):
    save_settings(Settings(tile_px=64))
    images, out = str(model.parent / "a.tif"), str(model.parent / "typed")
    assert main(["restore", str(model), images, "--out", out, "--tile", "128"]) == 0
    assert json.loads(last_job())["config"]["tile_px"] == 128


def test_an_error_leaves_its_traceback(capsys):
    assert main(["restore", "no such model", "a.tif", "--out", "b"]) == 2
    text = log_path().read_text()
    assert "Traceback (most recent call last):" in text and "exit code 2 after" in text
    assert "Traceback" not in capsys.readouterr().err


def test_a_mistake_of_ours_says_what_to_report(model: Path, capsys, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("napari_hdn.cli.commands.restore.api.restore_batch", broken)
    with pytest.raises(ZeroDivisionError):
        main(["restore", str(model), "a.tif", "--out", "b"])
    assert "'napari-hdn diagnostics' tells what a bug report needs" in capsys.readouterr().err
    assert "ZeroDivisionError: ours" in log_path().read_text()


def test_damaged_settings_are_told_and_the_work_is_done(capsys):
    settings_path().write_text('{"device": "abacus"}')
    assert main(["diagnostics"]) == 0
    told = capsys.readouterr()
    assert "device = 'abacus'" in told.err and "device = 'abacus'" in told.out
