"""What is set for all jobs does what it says."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.devices import Device, available, choose
from napari_hdn.core.errors import MemoryShortError
from napari_hdn.core.memory import check_fits
from napari_hdn.core.restoring.tiling import tile_side
from napari_hdn.core.settings import Settings, as_read, chosen_threads, put_in_force


def _in_new_thread(function):
    got = []
    thread = threading.Thread(target=lambda: got.append(function()))
    thread.start()
    thread.join()
    return got[0]


def test_a_job_computes_with_the_threads_that_are_set(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usual = torch.get_num_threads()

    def job():
        with chosen_threads():
            inside = torch.get_num_threads()
        return inside, torch.get_num_threads()

    put_in_force(Settings(threads=3))
    assert _in_new_thread(job) == (3, usual) == job()
    put_in_force(Settings())
    assert _in_new_thread(job) == (usual, usual)


def test_the_environment_wins_over_the_threads_that_are_set(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    put_in_force(Settings(threads=3))
    with chosen_threads():
        assert torch.get_num_threads() != 3


def test_auto_takes_the_device_that_is_set_if_it_is_there(monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [d.name for d in available()] == ["mps", "cpu"]
    put_in_force(Settings(device="cpu"))
    assert [d.name for d in available()] == ["cpu", "mps"]
    assert choose("auto").name == "cpu" and choose("mps").name == "mps"
    put_in_force(Settings(device="cuda"))  # of another computer
    assert choose("auto").name == "mps"


def test_the_memory_limit_counts_what_the_program_has_taken(monkeypatch):
    def memory(self):
        return SimpleNamespace(rss=int(3e9), shared=int(5e8))

    monkeypatch.setattr(psutil.Process, "memory_info", memory)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8e9))
    cpu = Device("cpu", "CPU", False)
    assert cpu.free_bytes() == 8e9
    put_in_force(Settings(memory_limit_gb=4))
    assert cpu.free_bytes() == 1.5e9
    put_in_force(Settings(memory_limit_gb=20))  # no more than there is
    assert cpu.free_bytes() == 8e9
    put_in_force(Settings(memory_limit_gb=2))
    assert cpu.free_bytes() == 0


def test_tiles_and_refusals_follow_the_memory_limit(monkeypatch):
    def memory(self):
        return SimpleNamespace(rss=int(1e9), shared=0)

    monkeypatch.setattr(psutil.Process, "memory_info", memory)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=16e9))
    network, cpu = NetworkConfig(), Device("cpu", "CPU", False)
    assert tile_side((1024, 1024), network, 1, cpu.free_bytes()) is None
    check_fits(2e9, "3 layers")
    put_in_force(Settings(memory_limit_gb=2))
    side = tile_side((1024, 1024), network, 1, cpu.free_bytes())
    assert side is not None and (side + 128) ** 2 * 12 * 4 * 32 <= 0.4 * 1e9
    with pytest.raises(MemoryShortError, match=r"2\.0 GB .* limit of 2 GB in the settings"):
        check_fits(2e9, "3 layers")


def test_what_cannot_be_used_is_left_out_alone():
    settings, complaints = as_read(
        {"device": "quantum", "threads": 4, "tile_px": 3, "memory_limit_gb": "lots", "x": 1}
    )
    assert settings == Settings(threads=4)
    assert [c.split(" = ")[0] for c in complaints] == ["device", "tile_px", "memory_limit_gb", "x"]


def test_a_folder_of_models_is_whole():
    assert Settings(models_folder="~/m").models_folder == Path.home() / "m"
    assert as_read({"models_folder": "models"})[0].models_folder is None
    (complaint,) = as_read({"models_folder": f"~nobody-at-all{os.sep}m"})[1]
    assert "nobody-at-all" in complaint
