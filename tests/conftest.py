"""What all tests share: few threads, a models folder of their own, tiny images."""

from __future__ import annotations

import os

# several workers' worth of threads on two cores only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _own_models_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path_factory.mktemp("models")))


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Settings and log of nobody, and the usual settings again after each test."""
    from napari_hdn.core.settings import Settings, put_in_force

    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("NAPARI_HDN_LOG", str(folder))
    monkeypatch.setenv("NAPARI_HDN_SETTINGS", str(folder / "settings.json"))
    put_in_force(Settings())
    yield
    put_in_force(Settings())


@pytest.fixture(autouse=True)
def _one_thread():
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def noisy_stack() -> np.ndarray:
    """(T, Y, X) = (3, 64, 48) uint16 counts with photon noise; every frame is another."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:64, :48]
    photons = 20 + 15 * np.sin(y / 7) * np.cos(x / 5)
    return (rng.poisson(photons, (3, 64, 48)) * 2 + 100).astype(np.uint16)


@pytest.fixture
def noisy_tif(tmp_path: Path, noisy_stack: np.ndarray) -> Path:
    """`noisy_stack` in a plain TIFF file."""
    import tifffile

    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, noisy_stack, photometric="minisblack")
    return path
