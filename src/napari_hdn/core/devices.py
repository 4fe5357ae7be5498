"""Where to compute, and how precisely."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Literal

import torch
from torch import dtype as DType  # `Device.torch` would hide it

from napari_hdn.core.config import DeviceName
from napari_hdn.core.errors import DeviceError
from napari_hdn.core.memory import free_bytes
from napari_hdn.core.settings import in_force

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Device:
    """A device of this machine; ``label`` is for people."""

    name: Literal["cpu", "cuda", "mps"]
    label: str
    bfloat16: bool  # fast and safe there

    @property
    def torch(self) -> torch.device:
        """The device in torch's words."""
        return torch.device(self.name)

    def free_bytes(self) -> int:
        """Memory that a job may still take there."""
        if self.name == "cuda":
            return int(torch.cuda.mem_get_info()[0])
        return free_bytes()

    def release(self) -> None:
        """Give back memory that torch holds for reuse, after it has run short."""
        if self.name == "cuda":
            torch.cuda.empty_cache()
        elif self.name == "mps":
            torch.mps.empty_cache()

    def dtype(self, precision: Precision) -> DType:
        """The type that autocast computes in."""
        if precision == "auto":
            return torch.bfloat16 if self.bfloat16 else torch.float32
        return torch.bfloat16 if precision == "bfloat16" else torch.float32

    def dtype_name(self, precision: Precision) -> str:
        """``float32`` or ``bfloat16``, see `dtype`."""
        return str(self.dtype(precision)).removeprefix("torch.")


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the computer's memory on a device; pinned on the way to CUDA, not waited for."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _cpu() -> Device:
    bfloat16 = bool(
        getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
        or getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.machine() or "CPU"
    return Device(
        "cpu", f"CPU ({name}, {cores} cores, {'bfloat16' if bfloat16 else 'float32'})", bfloat16
    )


def available() -> list[Device]:
    """What this machine has; the first is what ``auto`` takes: that of the settings, or the fastest."""
    found = []
    if torch.cuda.is_available():
        bfloat16 = torch.cuda.is_bf16_supported()
        found.append(Device("cuda", f"CUDA ({torch.cuda.get_device_name()})", bfloat16))
    if torch.backends.mps.is_available():
        found.append(Device("mps", "MPS (Apple GPU)", False))
    wanted = in_force().device
    return sorted([*found, _cpu()], key=lambda device: device.name != wanted)


def choose(name: DeviceName) -> Device:
    """The device that a user asked for.

    Raises
    ------
    DeviceError
        If this machine does not have it.
    """
    devices = available()
    if name == "auto":
        return devices[0]
    for device in devices:
        if device.name == name:
            return device
    have = ", ".join(d.label for d in devices)
    hint = (
        " On Windows, PyPI's torch comes without CUDA: install it from PyTorch's own index."
        if name == "cuda" and platform.system() == "Windows"
        else ""
    )
    raise DeviceError(f"There is no {name.upper()} device here; this machine has {have}.{hint}")
