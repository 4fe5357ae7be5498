import pytest
import torch

from napari_hdn.core import devices
from napari_hdn.core.errors import DeviceError


@pytest.fixture
def fake(monkeypatch):
    def set_up(*, cuda=False, mps=False):
        monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
        monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Imaginary 9000")
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)

    return set_up


def test_auto_takes_the_gpu_where_there_is_one(fake):
    fake(cuda=True)
    device = devices.choose("auto")
    assert (device.name, device.bfloat16) == ("cuda", True) and "Imaginary 9000" in device.label
    fake(mps=True)
    assert devices.choose("auto").name == "mps"
    assert devices.choose("auto").dtype("auto") is torch.float32
    fake()
    assert devices.choose("auto").name == "cpu"


def test_the_cpu_is_always_there(fake):
    fake(cuda=True, mps=True)
    assert devices.choose("cpu").name == "cpu"


def test_what_is_not_there_is_named(fake):
    fake()
    with pytest.raises(DeviceError, match=r"no CUDA device here; this machine has CPU"):
        devices.choose("cuda")


def test_on_windows_the_missing_cuda_is_explained(fake, monkeypatch):
    fake()
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(DeviceError, match="PyTorch's own index"):
        devices.choose("cuda")


def test_precision():
    cpu = devices.Device("cpu", "", bfloat16=False)
    assert cpu.dtype("auto") is torch.float32 and cpu.dtype("bfloat16") is torch.bfloat16


class Recorded:
    """Stands in for a tensor where there is no GPU."""

    device = torch.device("cpu")

    def __init__(self):
        self.done = []

    def pin_memory(self):
        self.done.append("pinned")
        return self

    def to(self, device, non_blocking=False):
        self.done.append((device.type, non_blocking))
        return self


def test_what_goes_to_cuda_is_pinned_and_not_waited_for():
    tensor = Recorded()
    devices.moved(tensor, torch.device("cuda"))
    assert tensor.done == ["pinned", ("cuda", True)]


def test_what_goes_elsewhere_is_not_pinned():
    tensor = Recorded()
    devices.moved(tensor, torch.device("mps"))
    assert tensor.done == [("mps", False)]
    here = torch.ones(2)
    assert devices.moved(here, torch.device("cpu")) is here
