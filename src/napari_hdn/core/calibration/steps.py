"""Long work as generators of steps: how far, and doing what; they return what they made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
Step = tuple[float, str]  # fraction 0..1, in words

LOOK_S = 0.2


def part(steps: Generator[Step, None, T], begin: float, end: float) -> Generator[Step, None, T]:
    """Steps that are a part of something longer."""
    while True:
        try:
            fraction, doing = next(steps)
        except StopIteration as over:
            return over.value
        yield begin + (end - begin) * fraction, doing


def finish(steps: Generator[Step, None, T]) -> T:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as over:
            return over.value


def in_thread(work: Callable[[Callable[[float], None]], T], doing: str) -> Generator[Step, None, T]:
    """Steps of work that calls back with how much is done, such as a fit by a library."""
    done = [0.0]
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, lambda fraction: done.__setitem__(0, fraction))
        while not future.done():
            yield done[0], doing
            wait([future], timeout=LOOK_S)
        return future.result()
