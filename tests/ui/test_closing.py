"""The window is closed while a training runs, in a napari of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_hdn import api

PROGRAM = Path(__file__).with_name("closing_program.py")


@pytest.mark.skipif(sys.platform != "linux", reason="asks X11 to close a window")
@pytest.mark.slow
def test_closing_asks_first_then_saves(tmp_path):
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={**os.environ, "NAPARI_CONFIG": str(tmp_path / "napari.yaml")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    question = "napari-hdn: training noisy fast (the model is saved if you close)"
    assert told["questions"] == [question, question, ""]  # the last is napari's own, for layers
    assert told["visible_after_cancel"] is True
    assert told["stopped_after_cancel"] is False
    assert "Traceback" not in done.stderr
    model = api.load_model(api.models_folder() / "noisy fast")
    assert model.can_continue
    assert model.summary.stopped
    assert 1 < model.summary.steps < 1_000_000
