"""What is copied holds what a bug report needs, and not whose computer it is."""

import json
import logging
from pathlib import Path

from napari_hdn.core.settings import Settings, put_in_force
from napari_hdn.io.diagnostics import diagnostics, versions, without_home
from napari_hdn.io.log import BEGINS, attach_log
from napari_hdn.io.settings import settings_path

logger = logging.getLogger("napari_hdn.test")


def _section(text: str, title: str) -> str:
    return text.split(f"## {title}")[1].split("\n## ")[0]


def test_all_that_a_report_needs_is_there(monkeypatch, tmp_path):
    import torch

    monkeypatch.setenv("HOME", str(tmp_path / "anna"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "anna"))
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path / "anna" / "models"))
    monkeypatch.setenv("NAPARI_ASYNC_TOKEN", "hush")
    put_in_force(Settings(threads=2, memory_limit_gb=3))
    attach_log("test")
    logger.info("%s%s", BEGINS, json.dumps({"job": "restore", "config": {"samples": 7}}))
    for i in range(250):
        logger.info("line %d of %s", i, tmp_path / "anna" / "cells.tif")
    logger.error("it broke", exc_info=ValueError("no light"))
    text = diagnostics({"Qt": "PyQt9"})
    assert f"torch: {torch.__version__}" in _section(text, "Versions")
    assert {"Python", "napari-hdn", "torch", "napari", "numpy"} <= set(versions())
    computer = _section(text, "Computer")
    assert "GB free" in computer and "threads" in computer and "Qt: PyQt9" in computer
    assert "$NAPARI_HDN_MODELS: ~/models" in computer and "hush" not in text
    assert "CPU (" in _section(text, "torch") and "PyTorch built with" in _section(text, "torch")
    assert '"memory_limit_gb":3.0' in _section(text, "Settings")
    assert "Free on its disk:" in _section(text, "Models") and "Models: 0" in text
    assert json.loads(_section(text, "Last job")) == {"job": "restore", "config": {"samples": 7}}
    log = _section(text, "Log, last 200 lines of")
    assert "line 249 of ~/cells.tif" in log and "ValueError: no light" in log
    assert "line 10 of" not in log
    assert "anna" not in text


def test_what_cannot_be_found_out_does_not_hide_the_rest(monkeypatch):
    def broken() -> str:
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr("napari_hdn.core.devices.available", broken)
    settings_path().write_text("{")
    text = diagnostics()
    assert "could not be found out: RuntimeError('the driver is too old')" in _section(
        text, "torch"
    )
    assert "cannot be read" in _section(text, "Settings")
    assert "none in the log" in _section(text, "Last job")


def test_homes_on_windows_are_shortened_too(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: "C:\\Users\\anna")
    text = r"C:\Users\anna\a.tif C:\\Users\\anna\\a.tif C:/Users/anna/a.tif"
    assert without_home(text) == r"~\a.tif ~\\a.tif ~/a.tif"
    monkeypatch.setattr(Path, "home", lambda: "/")
    assert without_home("/data/a.tif") == "/data/a.tif"
