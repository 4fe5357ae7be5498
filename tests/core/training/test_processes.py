"""Several processes train what one trains."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

import one_of_two
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, DeviceError
from napari_hdn.core.ranks import ALONE, OURS, Rank
from napari_hdn.core.training.processes import check_shareable
from one_of_two import EARLY_LOOKS, EVERY_STEP, SMALL_LOOKS


def begun(prefix, rank, port):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environ |= {OURS: "2", "WORLD_SIZE": "2", "NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return subprocess.Popen([sys.executable, one_of_two.__file__, str(prefix)], env=environ)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read(path):
    with np.load(path) as file:
        return dict(file)


def test_two_processes_train_what_one_trains(tmp_path, monkeypatch):
    """Same patches, same noise, same batch-norm: what is left is rounding.

    Losses agree within 1e-5 at first; Adamax divides by small gradients, so that rounding grows.
    """
    port = free_port()
    running = [begun(tmp_path / "two", rank, port) for rank in range(2)]
    try:
        for name, value in (EVERY_STEP, EARLY_LOOKS, SMALL_LOOKS):
            monkeypatch.setattr(name, value)
        one_of_two.trained(ALONE, str(tmp_path / "one.npz"))
        assert [process.wait(timeout=240) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.wait()
    one, first, second = (read(tmp_path / f"{n}.npz") for n in ("one", "two-0", "two-1"))
    np.testing.assert_allclose(first["losses"][:3], one["losses"][:3], rtol=1e-5)
    np.testing.assert_allclose(first["losses"], one["losses"], rtol=2e-3)
    assert np.ptp(one["losses"]) > 1 and len(one["losses"]) == 10
    assert len(first["refits"]) == len(one["refits"]) == 1
    assert len(second["losses"]) == len(second["refits"]) == 0  # it says nothing
    names = [n for n in one if n.startswith("weights.")]
    assert len(names) > 50
    for name in names:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert first["noise"] == second["noise"]
    apart = [np.abs(first[n] - one[n]).max() for n in names if "num_batches" not in n]
    assert max(apart) < 0.02


CPU = Device("cpu", "CPU", False)


def test_what_cannot_be_shared_is_refused(tiny_config, monkeypatch):
    config = tiny_config.model_copy(update={"batch_size": 8})
    check_shareable(CPU, config, Rank(1, 4, 1, 4))
    with pytest.raises(
        ConfigurationError, match=r"8 patches .* by 3 .* 2, 4, 8 processes, or .* 9"
    ):
        check_shareable(CPU, config, Rank(0, 3, 0, 3))
    with pytest.raises(ConfigurationError, match=r"a batch of 2\."):
        check_shareable(CPU, config.model_copy(update={"batch_size": 1}), Rank(0, 2, 0, 2))
    with pytest.raises(DeviceError, match="Apple's GPU trains in one process"):
        check_shareable(Device("mps", "MPS", False), config, Rank(0, 2, 0, 2))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    cuda = Device("cuda", "CUDA", True)
    with pytest.raises(DeviceError, match=r"2 processes .* but 1 can be seen; give --devices 1"):
        check_shareable(cuda, config, Rank(0, 2, 0, 2))
    with pytest.raises(DeviceError, match="--gpus-per-node=4, and not for --gpus-per-task"):
        check_shareable(cuda, config, Rank(0, 8, 0, 4, "slurm"))
    check_shareable(cuda, config, Rank(1, 2, 0, 1, "torchrun"))  # a machine each
