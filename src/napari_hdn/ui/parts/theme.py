"""Colours of the viewer's theme, for what Qt's style sheets do not reach."""

from __future__ import annotations

from typing import Any

from napari.settings import get_settings
from napari.utils.theme import get_theme

_WARNING = {"dark": "#e3b617", "light": "#8a5a00"}
_QUIET = 0.36  # share of the background in quiet text


def theme_changed() -> Any:
    """The signal of another theme."""
    return get_settings().appearance.events.theme


def text_colour() -> str:
    """Of plain text."""
    return str(_theme().text.as_hex())


def background_colour() -> str:
    """Of docks."""
    return str(_theme().background.as_hex())


def quiet_colour() -> str:
    """Of remarks: between text and background."""
    text, ground = (c.as_rgb_tuple(alpha=False) for c in (_theme().text, _theme().background))
    mixed = (round((1 - _QUIET) * t + _QUIET * g) for t, g in zip(text, ground, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def warning_colour() -> str:
    """Of warnings."""
    ground = _theme().background.as_rgb_tuple(alpha=False)
    return _WARNING["dark" if sum(ground) < 3 * 128 else "light"]


def _theme() -> Any:
    return get_theme(get_settings().appearance.theme)
