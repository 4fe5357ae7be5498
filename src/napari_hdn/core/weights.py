"""Weights from a file that a stranger may have written: known to fit before memory is asked for.

A safetensors file runs no code. What it can do is lie: here its tensors' names, shapes and types are
held against those of the network, which is laid out without memory for that (torch's ``meta`` device),
so that a small file cannot ask for gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class WeightsError(ValueError):
    """Weights that do not fit their network, or are no numbers."""


def load_weights(make: Callable[[], Network], path: Path) -> Network:
    """Make a network and give it the weights of a file; on the CPU.

    Parameters
    ----------
    make : callable
        Makes the network; called a second time only when the file is known to fit.
    path : Path
        A ``.safetensors`` file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    WeightsError
        If the file is damaged, or holds other tensors than the network, or values that are no
        numbers.
    """
    with torch.device("meta"):
        wanted = {name: (list(t.shape), _TYPES[t.dtype]) for name, t in make().state_dict().items()}
    path.open("rb").close()  # safetensors says of a file without permission that it is not there
    try:
        with safe_open(path, "pt") as file:
            there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            _compare(wanted, {k: (v.get_shape(), v.get_dtype()) for k, v in there.items()})
            state = {name: file.get_tensor(name) for name in wanted}
    except (OSError, SafetensorError) as error:
        raise WeightsError(str(error)) from error
    _check_finite(state)
    network = make()
    network.load_state_dict(state)
    return network


_TYPES = {torch.float32: "F32", torch.int64: "I64"}  # all that networks hold

Layout = dict[str, tuple[list[int], str]]


def _compare(wanted: Layout, there: Layout) -> None:
    if missing := sorted(wanted.keys() - there.keys()):
        raise WeightsError(f"{missing[0]} is missing, and {len(missing) - 1} more")
    if other := sorted(there.keys() - wanted.keys()):
        raise WeightsError(f"{other[0]:.80} does not belong to the network of the config")
    for name, (shape, kind) in wanted.items():
        if there[name] != (shape, kind):
            raise WeightsError(
                f"size mismatch for {name}: {there[name][0]} ({there[name][1]}) in the file, {shape} "
                f"({kind}) in the network of the config"
            )


def _check_finite(state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{name} holds values that are no numbers")
