"""What a person has to say of a model before it is published."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from napari_hdn.core.config import Frozen

LICENSES = ("CC-BY-4.0", "CC0-1.0", "CC-BY-NC-4.0", "BSD-3-Clause", "MIT")
_NAME_LENGTH = (5, 128)  # that the zoo allows


class ZooDetails(Frozen):
    """Who made a model and what may be done with it.

    Attributes
    ----------
    authors : tuple of str
        Names.
    title : str
        What the model is called in the zoo; by default "HDN" and the name of its folder.
    description : str
        One or two sentences; by default what is known of the training.
    license : str
        Its SPDX name.
    tags : tuple of str
        Besides those that every HDN has, such as what is seen, and by which microscope.
    deactivated_levels : tuple of int
        Levels that are off besides those that the model was trained without, 1 = finest.
    """

    authors: tuple[str, ...]
    title: str = ""
    description: Annotated[str, Field(max_length=1000)] = ""
    license: str = LICENSES[0]
    tags: tuple[str, ...] = ()
    deactivated_levels: tuple[int, ...] = ()

    @field_validator("authors", "tags")
    @classmethod
    def _stripped(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text.strip() for text in given if text.strip())

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.authors:
            raise ValueError(
                "A package for the BioImage Model Zoo names who made the model; give an author."
            )
        return self


def zoo_title(title: str, folder_name: str) -> str:
    """A name as the zoo allows it: letters, digits, spaces, and few signs."""
    given = title.strip() or f"HDN {folder_name}"
    allowed = " ".join(re.sub(r"[^A-Za-z0-9_()\- ]", " ", given).split())
    least, most = _NAME_LENGTH
    return (allowed if len(allowed) >= least else f"HDN model {allowed}".strip())[:most].strip()
