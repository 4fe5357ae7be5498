"""The command ``napari-hdn``: its commands and their exit codes."""

from __future__ import annotations

import io
import logging
import shlex
import sys
import time
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from pydantic import ValidationError

import napari_hdn
from napari_hdn.api import HDNError, attach_log, take_over_settings
from napari_hdn.cli.commands.calibrate import calibrate
from napari_hdn.cli.commands.demo import demo
from napari_hdn.cli.commands.diagnostics import diagnostics
from napari_hdn.cli.commands.distil import distil
from napari_hdn.cli.commands.evaluate import evaluate
from napari_hdn.cli.commands.export import export, import_model
from napari_hdn.cli.commands.generate import generate
from napari_hdn.cli.commands.levels import levels
from napari_hdn.cli.commands.methods import methods
from napari_hdn.cli.commands.restore import restore
from napari_hdn.cli.commands.run import run
from napari_hdn.cli.commands.segment import segment
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, USER_ERROR
from napari_hdn.cli.commands.train import train
from napari_hdn.cli.commands.trust import trust
from napari_hdn.cli.launch import Launch
from napari_hdn.core.errors import StoppedEarly, is_memory_short

_log = logging.getLogger(__name__)

app = App(
    name="napari-hdn",
    version=napari_hdn.__version__,
    help="Train Hierarchical DivNoising on noisy images alone, and restore images with it.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for command in (
    *(calibrate, train, restore, distil, levels, generate),
    *(segment, evaluate, trust, export, demo, diagnostics),
    *(run, methods),
):
    app.command(command)
app.command(import_model, name="import")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What was typed; by default that of this process.

    Returns
    -------
    int
        0 all done; 1 done, but for damaged planes; 2 something the user can mend, told in one line
        on the standard error; 130 stopped by Ctrl-C, with what there is kept.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a name or a sign that it cannot show is no mishap
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    attach_log("terminal")
    if remark := take_over_settings():
        print(f"napari-hdn: {remark}", file=sys.stderr)
    began = time.monotonic()
    _log.info("napari-hdn %s", shlex.join(tokens))
    try:
        code = _run(tokens)
    except Exception:
        _log.exception("ended by an unexpected error after %.1f s", time.monotonic() - began)
        print("napari-hdn: 'napari-hdn diagnostics' tells what a bug report needs", file=sys.stderr)
        raise
    _log.info("exit code %d after %.1f s", code, time.monotonic() - began)
    return code


def _run(tokens: Sequence[str]) -> int:
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
        if isinstance(code, Launch):
            code = code.run(tokens)
    except StoppedEarly as error:
        print(f"napari-hdn: {error}", file=sys.stderr)
        return INTERRUPTED
    except (HDNError, CycloptsError, ValidationError) as error:
        return _failed(error, _one_line(error))
    except OSError as error:  # of the system, where nothing more can be said about it
        place = f"{error.filename}: " if error.filename else ""
        return _failed(error, f"{place}{error.strerror or _one_line(error)}")
    except (MemoryError, RuntimeError) as error:
        if not is_memory_short(error):
            raise
        return _failed(error, _smaller(tokens))
    except KeyboardInterrupt:
        print("napari-hdn: aborted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _failed(error: Exception, message: str) -> int:
    _log.error("ended by an error", exc_info=error)
    notes = getattr(error, "__notes__", [])
    print(" ".join(["napari-hdn:", message, *notes]), file=sys.stderr)
    return USER_ERROR


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message} (given: {first['input']})" if place else message
    return " ".join(str(error).split())


def _smaller(tokens: Sequence[str]) -> str:
    todo = {
        "train": "choose a smaller --patch or --preset fast",
        "restore": "choose a smaller --tile, such as 256",
        "levels": "choose a smaller --region",
        "generate": "choose a smaller --size or --tile",
        "segment": "choose fewer --samples",
        "trust": "choose a smaller --region",
    }.get(tokens[0] if tokens else "", "close other programs")
    return f"There is not enough memory; {todo}, or another --device."
