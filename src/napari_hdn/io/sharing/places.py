"""Where things lie on somebody's computer, which is nobody else's business: their names are enough.

Models remember paths (of images, of noise models, of the model that a variant was made of) with names of
users and of projects in them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

_BEFORE = r"(?<![\w.~/\\-])"  # what is no part of a longer path
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


def without_places(content: bytes) -> bytes:
    """JSON in which absolute paths became the names of their files; all else is as it was.

    Parameters
    ----------
    content : bytes
        JSON in UTF-8. Paths of any system count, and those that are told within a sentence where they
        stand alone elsewhere, or lie in the user's home.

    Returns
    -------
    bytes
        The same ones if there is no such path.
    """
    known = {
        text: name
        for found in set(_STRING.findall(content))
        if (name := _name(text := _decoded(found)))
    }
    home = str(Path.home())
    told = [*sorted(known, key=len, reverse=True)]

    def replaced(found: re.Match[bytes]) -> bytes:
        text = short = _decoded(found[0])
        if text in known:
            short = known[text]
        elif "/" in text or "\\" in text:
            for path in told:
                short = re.sub(_BEFORE + re.escape(path), lambda _: known[path], short)  # noqa: B023
            if len(home) > 1:
                short = re.sub(rf"{_BEFORE}{re.escape(home)}(?=[/\\])", "~", short)
        return found[0] if short == text else json.dumps(short).encode()

    return _STRING.sub(replaced, content)


def _decoded(found: bytes) -> str:
    try:
        return str(json.loads(found))
    except ValueError:  # no JSON: whoever reads it will tell
        return ""


def _name(text: str) -> str:
    """The last part of an absolute path; empty for what is none."""
    if "\n" in text:
        return ""
    if text.startswith("/"):
        return PurePosixPath(text).name
    windows = PureWindowsPath(text)
    return windows.name if windows.is_absolute() else ""
