"""Packages that only some users need: imported late; where one is missing, told how to get it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from napari_hdn.core.errors import HDNError


class MissingExtraError(HDNError, ImportError):
    """A package that is not installed."""


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a package of an extra.

    Parameters
    ----------
    module : str
    extra : str
        Of napari-hdn, which installs it.
    purpose : str
        What it is needed for, as a sentence begins: ``OME-Zarr files need``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f'{purpose} the package {package}; install it with: pip install "napari-hdn[{extra}]", '
            "and start again."
        ) from error
