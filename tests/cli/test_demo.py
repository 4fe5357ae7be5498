"""The command demo."""

import signal
import sys

import numpy as np
import pytest

from commands import TINY, interrupted_after
from napari_hdn import api
from napari_hdn.api import (
    PlaneRestored,
    TrainingStep,
)
from napari_hdn.cli import demo
from napari_hdn.cli.terminal import Progress, stop_on_interrupt


def test_demo_writes_everything_and_counts_decibels(tmp_path, capsys):
    out = tmp_path / "demo"
    config = TINY.model_copy(update={"steps": 2})
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        results = demo.run_demo(out, config, progress, stop, show=False)
    assert [r.title for r in results] == [
        "noisy",
        "restored, all levels",
        "restored, without levels 1, 2",
    ]
    names = {p.name for p in out.iterdir()}
    assert {
        "model",
        "before-after-std.png",
        "cells-with-stripes.ome.tif",
        "cells-with-stripes-truth.ome.tif",
        "cells-with-stripes_hdn-mean.ome.tif",
        "cells-with-stripes_hdn-recipe.json",
        "cells-with-stripes_hdn-without-1-2-recipe.json",
        "cells-with-stripes_hdn-without-1-2-mean.ome.tif",
        "cells-with-stripes_hdn-without-1-2-std.ome.tif",
    } == names
    assert f"{results[2].psnr:5.2f} dB" in capsys.readouterr().out
    sample = api.cells_with_stripes()
    assert demo.psnr(sample, sample.truth[None] + 5) == pytest.approx(
        20 * np.log10(np.ptp(sample.truth) / 5), abs=1e-3
    )


@pytest.mark.parametrize("planes", [1, 12])
def test_interrupted_demo_keeps_what_there_is_and_shows_nothing(
    tmp_path, monkeypatch, planes: int, capsys
):
    real, seen = api.restore, []

    def interrupted(*args, **kwargs):
        for event in real(*args, **kwargs):
            yield event
            seen.append(isinstance(event, PlaneRestored))
            if seen[-1] and sum(seen) == planes:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(api, "restore", interrupted)
    monkeypatch.setattr(demo, "_show", lambda *_: pytest.fail("napari was opened"))
    config = TINY.model_copy(update={"steps": 1})
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        results = demo.run_demo(tmp_path / "demo", config, progress, stop, show=True)
        assert stop.requested
    assert len(results) == 1 + planes // 10
    names = {p.name for p in (tmp_path / "demo").glob("*_hdn*.tif")}
    if planes == 1:
        assert names == {"cells-with-stripes_hdn-mean-partial.ome.tif"}
    else:
        assert "cells-with-stripes_hdn-without-1-2-std-partial.ome.tif" in names
    assert "Press Ctrl-C again" in capsys.readouterr().out


def test_a_demo_whose_training_was_stopped_is_restored_all_the_same(tmp_path, monkeypatch):
    real = api.train
    monkeypatch.setattr(
        api, "train", lambda *a, **k: interrupted_after(real(*a, **k), TrainingStep, 1)
    )
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        results = demo.run_demo(tmp_path / "demo", TINY, progress, stop, show=False)
    assert stop.requested
    assert len(results) == 3


def test_display_is_found_by_its_variables(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not demo.has_display()
    monkeypatch.setenv("DISPLAY", ":1")
    assert demo.has_display()
