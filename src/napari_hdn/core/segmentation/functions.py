"""Recipes by name, and functions that a user wrote."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from skimage.measure import label

from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.segmentation.recipes import RECIPES

CONTRACT = (
    "It is given one restored image, a (Y, X) float32 array of counts, and returns labels of the "
    "same shape: whole numbers, 0 for background, one number for each object"
)


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe with its name, whose results are checked.

    Attributes
    ----------
    name : str
    function : callable
    """

    name: str
    function: Callable[[np.ndarray], Any]

    def segment(self, image: np.ndarray) -> np.ndarray:
        """(Y, X) int32 labels of a (Y, X) image.

        Raises
        ------
        ConfigurationError
            If the function fails, or returns something else.
        """
        own = self.function in RECIPES.values()
        # the samples are used again: a function may change only a copy
        given = image if own else np.array(image, dtype=np.float32)
        try:
            returned = self.function(given)
        except Exception as error:
            if own:
                raise
            raise ConfigurationError(
                f"{self.name} failed: {type(error).__name__}: {error}{_line_of(error)}. {CONTRACT}."
            ) from error
        return check_labels(returned, image.shape, self.name)


def find_recipe(recipe: str | Callable[[np.ndarray], Any]) -> NamedRecipe:
    """The recipe that a user named, or gave.

    Parameters
    ----------
    recipe : str or callable
        ``membranes``, ``bright``, ``FILE.py:FUNCTION``, ``package.module:function``, or a function
        from a (Y, X) image to (Y, X) labels.

    Raises
    ------
    ConfigurationError
        If there is no such thing, it cannot be imported, or it cannot be called with one image.
    """
    if callable(recipe):
        name = getattr(recipe, "__name__", type(recipe).__name__)
        return NamedRecipe(name, _checked_call(recipe, name))
    text = recipe.strip()
    if text in RECIPES:
        return NamedRecipe(text, RECIPES[text])
    place, colon, function = text.rpartition(":")
    if not colon or not place or not function.isidentifier():
        raise ConfigurationError(
            f"There is no recipe {text!r}: choose membranes, bright, or a function of your own as "
            "FILE.py:FUNCTION or package.module:function."
        )
    module = _from_file(Path(place)) if place.lower().endswith(".py") else _from_package(place)
    found = getattr(module, function, None)
    if found is None:
        functions = [n for n, v in vars(module).items() if inspect.isfunction(v)]
        there = ", ".join(n for n in functions if not n.startswith("_")) or "no function"
        raise ConfigurationError(f"{place} has no {function}; it has {there}.")
    return NamedRecipe(f"{Path(place).name}:{function}", _checked_call(found, text))


def check_labels(returned: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """What a function returned as (Y, X) int32 labels; of a mask, its pieces.

    Raises
    ------
    ConfigurationError
        If these are no labels of that shape.
    """
    try:
        array = np.asarray(returned)
    except Exception as error:  # dask, torch on a GPU
        raise ConfigurationError(
            f"{name} returned {type(returned).__name__}, which is no array. {CONTRACT}."
        ) from error
    if array.shape != tuple(shape):
        what = " x ".join(map(str, array.shape)) or type(returned).__name__
        raise ConfigurationError(
            f"{name} returned {what} for an image of {' x '.join(map(str, shape))} pixels. {CONTRACT}."
        )
    if array.dtype == bool:
        return np.asarray(label(array, connectivity=1), dtype=np.int32)
    return whole_numbers(array, f"What {name} returned", f"{CONTRACT}")


def whole_numbers(array: np.ndarray, what: str, todo: str) -> np.ndarray:
    """Labels as int32.

    Raises
    ------
    ConfigurationError
        If they are not whole numbers from 0 on; ``what`` begins the message and ``todo`` ends it.
    """
    if array.dtype.kind not in "iuf":
        raise ConfigurationError(f"{what} holds {array.dtype.name} values, no labels. {todo}.")
    if array.dtype.kind == "f":
        odd = ~np.isfinite(array) | (array != np.rint(array))
        if odd.any():
            raise ConfigurationError(
                f"{what} is no label image: {int(odd.sum())} of {array.size} pixels are not whole "
                f"numbers, such as {float(array[odd][0]):.6g}. {todo}."
            )
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if low < 0 or high > np.iinfo(np.int32).max:
        bad = low if low < 0 else high
        raise ConfigurationError(
            f"{what} is no label image: it holds {bad:.10g}, and labels run from 0 to "
            f"{np.iinfo(np.int32).max}. {todo}."
        )
    return array.astype(np.int32)


def _from_file(path: Path) -> ModuleType:
    try:
        path = path.expanduser().absolute()
    except RuntimeError:  # ~nobody, which then is no file
        path = path.absolute()
    if not path.is_file():
        raise ConfigurationError(f"There is no file {path} with a function to segment with.")
    # under a name of its own, and read anew each time: the file may have been changed since
    name = f"napari_hdn_recipe_{abs(hash(str(path)))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in it look themselves up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigurationError(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}{_line_of(error)}."
        ) from error
    return module


def _from_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"{name} cannot be imported: {error}. Install it beside napari-hdn, or name a file: "
            "FILE.py:FUNCTION."
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"{name} cannot be imported: {type(error).__name__}: {error}{_line_of(error)}."
        ) from error


def _checked_call(found: Any, name: str) -> Callable[[np.ndarray], Any]:
    if not callable(found):
        raise ConfigurationError(f"{name} is a {type(found).__name__}, not a function. {CONTRACT}.")
    try:
        inspect.signature(found).bind(np.zeros((1, 1), np.float32))
    except TypeError as error:
        raise ConfigurationError(
            f"{name} cannot be called with one image alone ({error}). {CONTRACT}; give all other "
            "parameters default values."
        ) from error
    except ValueError:  # of a compiled function nothing is known; calling it will tell
        return found
    return found


def _line_of(error: BaseException) -> str:
    """Where in the user's file it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):  # says so itself
        return ""
    if not frames or frames[-1].lineno is None:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
