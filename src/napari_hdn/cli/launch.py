"""Beginning the processes of one training on this machine, and seeing to it that they end together.

The processes run the same command, and find out from their environment which of them they are. What
began them reaches them through their standard input: ``stop``, ``lost 1`` (the process that is gone);
and its end, if it is killed, closes that.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from napari_hdn.api import OURS
from napari_hdn.cli.commands.shared import INTERRUPTED, LOST, USER_ERROR
from napari_hdn.core.errors import ConfigurationError

REPORT = "NAPARI_HDN_REPORT"  # a file in which the leading process says where the model is
SECONDS_TO_BEGIN, SECONDS_TO_SAVE = 10.0, 60.0  # what the others get once one is lost
SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Launch:
    """So many processes on each of so many machines, this one among them."""

    devices: int
    nodes: int

    def run(self, tokens: Sequence[str]) -> int:
        """Begin this machine's processes with the same command, and wait for them.

        Returns
        -------
        int
            The exit code: that of the first process.
        """
        shared = self.environment(os.environ)
        with tempfile.TemporaryDirectory(prefix="napari-hdn-") as place, _asked() as asked:
            report = Path(place) / "report.json"
            shared[REPORT] = str(report)
            workers: list[subprocess.Popen[bytes]] = []
            try:
                for local in range(self.devices):
                    workers.append(_begin(tokens, {**shared, "LOCAL_RANK": str(local)}))
                return _Watch(self, workers, report, int(shared["NODE_RANK"])).wait(asked)
            finally:
                for worker in workers:
                    worker.kill()
                    worker.wait()

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What tells the processes of each other.

        Raises
        ------
        ConfigurationError
            If it is not known how to reach the other machines.
        """
        if self.nodes > 1:
            names = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
            if missing := [name for name in names if name not in environ]:
                raise ConfigurationError(
                    f"For {self.nodes} machines, run this command on each of them with "
                    f"{', '.join(names)} set: the first machine's address, a free port there, and 0, "
                    f"1, ... for each machine ({', '.join(missing)} is not set). srun and torchrun do "
                    "that by themselves."
                )
            here = {name: environ[name] for name in names}
        else:
            here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        threads = environ.get("OMP_NUM_THREADS", str(max(1, cores // self.devices)))
        world = str(self.devices * self.nodes)
        return {
            **environ,
            **here,
            "WORLD_SIZE": world,
            OURS: str(self.devices),
            "OMP_NUM_THREADS": threads,
        }


class _Watch:
    """Looks after the processes: who is lost, whom to tell, when to end them."""

    def __init__(
        self, launch: Launch, workers: Sequence[subprocess.Popen[bytes]], report: Path, node: int
    ) -> None:
        self.workers, self.report, self.node = workers, report, node
        self.first, self.of = node * launch.devices, launch.devices * launch.nodes
        self.lost: int | None = None  # the first of this machine that ended badly by itself
        self.deadline = float("inf")

    def wait(self, asked: list[int]) -> int:
        told = 0
        while any(worker.poll() is None for worker in self.workers):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            if len(asked) > 1:
                print("napari-hdn: aborted", file=sys.stderr)
                return INTERRUPTED
            if len(asked) > told:
                told = len(asked)
                self._tell("stop", self.workers[:1])
            self._look()
            if time.monotonic() > self.deadline:
                break
        return self._outcome()

    def _look(self) -> None:
        if self.deadline < float("inf"):
            return
        codes = [worker.poll() for worker in self.workers]
        bad = [k for k, code in enumerate(codes) if code not in (None, 0, INTERRUPTED, LOST)]
        if bad:
            self.lost = bad[0]
            self._tell(f"lost {self.first + self.lost}", self.workers)
        if bad or any(code is not None for code in codes):
            has_begun = self.report.exists() or self.node > 0
            seconds = SECONDS_TO_SAVE if has_begun else SECONDS_TO_BEGIN
            self.deadline = time.monotonic() + seconds

    def _tell(self, word: str, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        for worker in workers:
            assert worker.stdin is not None
            with suppress(OSError):  # gone
                worker.stdin.write(f"{word}\n".encode())
                worker.stdin.flush()

    def _outcome(self) -> int:
        code = self.workers[0].poll()
        if code is not None and code >= 0 and code != LOST:
            return code  # it has said why
        if self.lost is None and self.node > 0:
            text = "a process on another machine ended unexpectedly; the first machine tells more."
        else:
            text = self._what_is_left()
        print(f"napari-hdn: {text}", file=sys.stderr)
        return USER_ERROR

    def _what_is_left(self) -> str:
        who, how = "the processes", "in time"
        if self.lost is not None:
            who = f"process {self.first + self.lost + 1} of {self.of}"
            code = self.workers[self.lost].returncode
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            text = f"{who} ended unexpectedly ({how})"
        else:
            text = "the processes did not end together"
        try:
            told = json.loads(self.report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return f"{text} before the training began."
        try:
            config = Path(told["folder"]) / "config.json"
            steps = json.loads(config.read_text(encoding="utf-8"))["summary"]["steps"]
        except (OSError, ValueError, KeyError):
            return f"{text} before the model was saved for the first time."
        return (
            f"{text}; the model with {steps} steps, as it was saved last, is in {told['folder']}. "
            f"{told['advice']}"
        )


def _begin(tokens: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    apart: dict[str, Any] = {"start_new_session": True}  # Ctrl-C comes to us alone
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    command = [sys.executable, "-m", "napari_hdn", *tokens]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, **apart)


@contextmanager
def _asked() -> Iterator[list[int]]:
    """Signals that asked to stop; they wait for us to look."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
