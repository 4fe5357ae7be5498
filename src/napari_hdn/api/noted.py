"""Jobs are written down: what began with which choices, how far it was, how it ended."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from pydantic import BaseModel

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import HDNError
from napari_hdn.io.log import BEGINS

SECONDS_BETWEEN = 30.0  # that the log is told how far a job is
_MOST_ITEMS = 20  # of a list that are named

Event = TypeVar("Event")
Given = ParamSpec("Given")

_log = logging.getLogger("napari_hdn.jobs")


def noted(function: Callable[Given, Iterator[Event]]) -> Callable[Given, Iterator[Event]]:
    """Write down the run of a function whose events are a long job."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def begun(*args: Given.args, **kwargs: Given.kwargs) -> Iterator[Event]:
        given = signature.bind(*args, **kwargs).arguments
        return _run(function.__name__, given, function(*args, **kwargs))

    return begun


def _run(name: str, given: Mapping[str, Any], events: Iterator[Event]) -> Iterator[Event]:
    _log.info("%s%s", BEGINS, described(name, given))
    began = told = time.monotonic()
    how = "given up"
    try:
        for event in events:
            if time.monotonic() - told >= SECONDS_BETWEEN:
                told = time.monotonic()
                fraction = event if isinstance(event, float) else getattr(event, "fraction", None)
                loss = getattr(event, "loss", None)
                much = "" if not isinstance(fraction, float) else f" {fraction:.1%}"
                _log.info("%s%s%s", name, much, "" if loss is None else f", loss {loss:.5g}")
            yield event
        how = "over"
    except GeneratorExit:
        raise
    except BaseException as error:
        how = f"ended by {type(error).__name__}"
        raise
    finally:
        if (close := getattr(events, "close", None)) is not None:
            close()
        _log.info("%s %s after %.1f s", name, how, time.monotonic() - began)


def described(name: str, given: Mapping[str, Any]) -> str:
    """What a job was given, as JSON in one line; no pixels."""
    from napari_hdn.core.settings import in_force

    facts = {key: told for key, value in given.items() if (told := _told(value)) is not None}
    device = getattr(given.get("config"), "device", given.get("device"))
    if isinstance(device, str):
        facts["on"] = _device_label(device)
    facts["threads"] = in_force().threads
    return json.dumps({"job": name, **facts}, default=str, ensure_ascii=False)


def _told(value: Any) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case ImageStack():
            array = value.array
            kind = str(getattr(array, "dtype", type(array).__name__))
            stack: dict[str, Any] = {"name": value.name, "axes": value.axes, "type": kind}
            stack["shape"] = [int(n) for n in np.shape(array)]
            return stack | ({"path": str(path)} if (path := getattr(value, "path", None)) else {})
        case np.ndarray():
            return {"shape": list(value.shape), "type": str(value.dtype)}
        case None | bool() | int() | float() | str():
            return value
        case Path():
            return str(value)
        case Sequence():
            told = [_told(v) for v in value[:_MOST_ITEMS]]
            return told if len(value) <= _MOST_ITEMS else [*told, f"{len(value)} in all"]
    if hasattr(value, "config") and hasattr(value, "name"):  # a model
        return {"name": value.name, "folder": str(getattr(value, "folder", None))}
    return None


def _device_label(device: str) -> str:
    from napari_hdn.core.devices import choose

    try:
        return choose(device).label  # type: ignore[arg-type]
    except HDNError as error:  # the job will tell
        return str(error)
