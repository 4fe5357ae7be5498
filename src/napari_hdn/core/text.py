"""Text that every file can hold."""

from __future__ import annotations

import re
from typing import Any

_NO_TEXT = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """A file's name for people and for records, with a mark in place of each byte that is no text.

    Names from old disks and cameras may hold such bytes. Python carries them along, so that the file can
    be opened; no file of text can hold them.
    """
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def as_readable(value: Any) -> Any:
    """The same for what may be no text at all, which others find out."""
    return readable(value) if isinstance(value, str) else value
