"""With what a result was computed: other versions and devices may round differently."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from napari_hdn.core.config import Frozen

if TYPE_CHECKING:
    from napari_hdn.core.devices import Device, Precision

Text = Annotated[str, Field(max_length=500)]


_CAN = re.compile(r"(bfloat16|float32)\)$")  # what a processor can, not what was asked of it


class Environment(Frozen):
    """Versions, computer and device.

    Attributes
    ----------
    device : str
        For people, such as ``CPU (x86_64, 2 cores, float32)``.
    precision : str
        What the network computed in: ``float32`` or ``bfloat16``.
    threads : int
        Of the processor, that torch used.
    processes : int
        That trained together.
    """

    napari_hdn: Text
    python: Text
    torch: Text
    numpy: Text
    system: Text
    device: Text
    precision: Text
    threads: Annotated[int, Field(ge=1, le=100_000)]
    processes: Annotated[int, Field(ge=1, le=1_000_000)] = 1

    def differences(self, now: Environment) -> list[str]:
        """What is different ``now``, in words, such as ``torch 2.12.0 -> 2.13.0``."""
        names = {"napari_hdn": "napari-hdn", "python": "Python", "processes": "processes"}
        return [
            f"{names.get(name, name)} {mine} -> {theirs}"
            for name, mine in self.model_dump().items()
            if mine != (theirs := getattr(now, name))
        ]


def environment(device: str, precision: str, processes: int = 1) -> Environment:
    """What this process computes with; loads torch."""
    import numpy
    import torch

    import napari_hdn

    return Environment(
        napari_hdn=napari_hdn.__version__,
        python=platform.python_version(),
        torch=str(torch.__version__),
        numpy=numpy.__version__,
        system=platform.platform()[:500],
        device=_CAN.sub(f"{precision})", device),
        precision=precision,
        threads=torch.get_num_threads(),
        processes=processes,
    )


def environment_on(device: Device, precision: Precision, processes: int = 1) -> Environment:
    """What this process computes with on a device."""
    return environment(device.label, device.dtype_name(precision), processes)
