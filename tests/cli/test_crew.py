"""Which of several processes says what went wrong."""

import json
import os
import time
from pathlib import Path

import pytest

from napari_hdn.api import ALONE, Rank
from napari_hdn.cli.commands.shared import LOST, USER_ERROR
from napari_hdn.cli.crew import Crew, launched
from napari_hdn.cli.launch import REPORT
from napari_hdn.core.errors import ConfigurationError, ImageError, ProcessLostError

LEADS, SECOND = Rank(0, 2, 0, 2, "torchrun"), Rank(1, 2, 1, 2, "torchrun")
OTHER_MACHINE = Rank(2, 4, 0, 2, "slurm")


def test_before_they_have_joined_the_first_of_every_machine_speaks():
    with pytest.raises(SystemExit) as silent, Crew(SECOND).speaking():
        raise ConfigurationError("3 patches")
    assert silent.value.code == USER_ERROR
    for rank in (ALONE, LEADS, OTHER_MACHINE):
        with pytest.raises(ConfigurationError, match="3 patches"), Crew(rank).speaking():
            raise ConfigurationError("3 patches")


def test_afterwards_the_one_that_failed_gives_its_number():
    crew = Crew(SECOND)
    crew.joined = True
    with pytest.raises(ImageError, match="NaN") as error, crew.speaking():
        raise ImageError("NaN")
    assert error.value.__notes__ == ["(process 2 of 2)"]


def test_of_those_that_have_lost_one_the_leading_one_speaks(tmp_path):
    with pytest.raises(SystemExit) as silent, Crew(SECOND).speaking():
        raise ProcessLostError("Another of the 2 processes ended.")
    assert silent.value.code == LOST
    crew = Crew(LEADS)
    crew.has_begun(tmp_path, "To go on: napari-hdn train --resume")
    with pytest.raises(ProcessLostError) as error, crew.speaking():
        raise ProcessLostError("Another of the 2 processes ended.")
    said = "Another of the 2 processes ended. To go on: napari-hdn train --resume"
    assert str(error.value) == said


def test_who_began_them_says_which_is_lost_and_is_told_where_the_model_is(tmp_path, monkeypatch):
    rank = Rank(0, 3, 0, 3)
    assert launched(rank) and not launched(ALONE) and not launched(LEADS)
    monkeypatch.setenv(REPORT, str(tmp_path / "report.json"))
    reading, writing = os.pipe()
    monkeypatch.setattr("napari_hdn.cli.crew.STANDARD_INPUT", reading)
    pressed = []
    monkeypatch.setattr("_thread.interrupt_main", lambda: pressed.append(time.monotonic()))
    crew = Crew(rank)
    crew.has_begun(Path("model"), "To go on: napari-hdn train --resume")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told == {
        "folder": str(Path("model").absolute()),
        "advice": "To go on: napari-hdn train --resume",
    }
    os.write(writing, b"stop\nlost 2\n")
    with (
        pytest.raises(ProcessLostError, match=r"^Process 3 of 3 ended\. To go on"),
        crew.speaking(),
    ):
        raise ProcessLostError("Another of the 3 processes ended.")
    assert len(pressed) == 1
    # who began it is gone
    ended = []
    monkeypatch.setattr("napari_hdn.cli.crew.SECONDS_TO_SAVE", 0.05)
    monkeypatch.setattr("os._exit", ended.append)
    os.close(writing)
    crew.listener.join(timeout=60)
    assert len(pressed) == 2 and ended == [USER_ERROR]
    os.close(reading)
