"""``napari-hdn restore`` with worker processes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import zarr

from commands import interrupted_after
from napari_hdn import api
from napari_hdn.api import PlaneRestored
from napari_hdn.cli import main
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.restoring.restoration import restore_all


def pixels(path):
    return zarr.open_group(path, mode="r")["0"][:]


@pytest.mark.filterwarnings("ignore:.*was trained on images:UserWarning")  # other counts
def test_workers_write_the_same_as_one_process_and_go_on_after_ctrl_c(
    model, noisy_tif, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    command = ["restore", str(model), str(noisy_tif), "--out", str(out), "--device", "cpu"]
    shared = [*command, "--workers", "1"]
    with monkeypatch.context() as patched:
        from napari_hdn.api import cluster

        whole = cluster.restore_by

        def restore_by(*args, **choices):
            return interrupted_after(whole(*args, **choices), PlaneRestored, 1)

        patched.setattr(cluster, "restore_by", restore_by)
        patched.setattr("napari_hdn.io.cluster.restoring.AHEAD", 1)
        assert main(shared) == 130
    assert "Stopping, and keeping what there is" in capsys.readouterr().out
    assert not list(out.glob("*.zarr"))
    assert main(shared) == 0
    assert "are done already" in capsys.readouterr().out
    (made,) = out.glob("*.ome.zarr")
    trained = api.load_model(model)
    stack = api.open_images([noisy_tif])[0]
    alone = restore_all(trained, stack, RestorationConfig(device="cpu")).mean
    np.testing.assert_array_equal(pixels(made), alone)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--workers", "2", "--format", "ome-tiff"], "cannot write to one OME-TIFF"),
        (["--workers", "2", "--direct"], "Direct networks restore in one process"),
        (["--workers", "1000"], "choose from 1 to"),
        (["--workers", "0"], "choose from 1 to"),
        (["--workers", "2", "--scheduler", "tcp://1.2.3.4:5"], "Say either"),
        (["--scheduler", "nobody.json"], "no scheduler file nobody.json"),
    ],
)
def test_what_workers_cannot_do_is_told_before_any_work(
    model, noisy_tif, tmp_path, capsys, more, told
):
    command = ["restore", str(model), str(noisy_tif), "--out", str(tmp_path / "out"), *more]
    assert main(command) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_says_what_to_install(model, noisy_tif, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["restore", str(model), str(noisy_tif), "--out", str(tmp_path), "--workers", "1"]
    assert main(command) == 2
    assert 'pip install "napari-hdn[cluster]"' in capsys.readouterr().err
