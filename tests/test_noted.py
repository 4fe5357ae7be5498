"""What is written down of jobs: their choices, how far they were, how they ended, no pixels."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from napari_hdn import api
from napari_hdn.api.noted import described, noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.io.log import BEGINS


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "napari_hdn")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "napari_hdn.jobs"]


def test_a_job_is_told_from_beginning_to_end(told, monkeypatch):
    monkeypatch.setattr("napari_hdn.api.noted.SECONDS_BETWEEN", 0.0)

    @noted
    def brighten(image, config, *, stop=None):
        yield 0.5
        yield "done"

    config = RestorationConfig(samples=3, device="cpu")
    events = brighten(ImageStack(np.zeros((4, 3)), "YX", "cells"), config)
    assert told() == []  # nothing has begun
    assert list(events) == [0.5, "done"]
    begins, half, _, over = told()
    facts = json.loads(begins.removeprefix(BEGINS))
    assert facts["job"] == "brighten" and facts["on"].startswith("CPU (")
    assert facts["image"] == {"name": "cells", "axes": "YX", "type": "float64", "shape": [4, 3]}
    assert RestorationConfig(**facts["config"]) == config
    assert half == "brighten 50.0%" and over.startswith("brighten over after 0.")


def test_how_a_job_ended_is_told(told):
    closed = []

    @noted
    def job(fail):
        try:
            yield 0.0
            if fail:
                raise ValueError("no")
            yield 1.0
        finally:
            closed.append(fail)

    with pytest.raises(ValueError, match="no"):
        list(job(True))
    assert told()[-1].startswith("job ended by ValueError after")
    events = job(False)
    next(events)
    events.close()
    assert told()[-1].startswith("job given up after") and closed == [True, False]


def test_what_a_job_was_given_holds_no_pixels_and_few_names(tmp_path):
    stacks = [ImageStack(np.full((2, 2), 77), "YX", f"n{i}") for i in range(50)]
    given = {
        "images": stacks,
        "counts": np.full((5, 5), 77.0),
        "folder": tmp_path,
        "stop": api.Stop(),
    }
    text = described("job", given)
    facts = json.loads(text)
    assert "77" not in text.replace(str(tmp_path), "") and "stop" not in facts
    assert facts["images"][19]["name"] == "n19" and facts["images"][20:] == ["50 in all"]
    assert facts["counts"] == {"shape": [5, 5], "type": "float64"}
    assert Path(facts["folder"]) == tmp_path


@pytest.mark.parametrize(
    "name", ["train", "calibrate", "restore", "restore_direct", "distil", "generate", "segment",
             "evaluate", "inspect_levels", "judge_restoration"]
)  # fmt: skip
def test_all_long_jobs_are_noted(name):
    assert getattr(api, name).__wrapped__.__name__ == name
