"""``napari-hdn methods``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.cli import choices
from napari_hdn.cli.commands.shared import OK


def methods(model: Path, *, bibtex: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Write the paragraph for a paper's methods section, with its references.

    It says what was done with the numbers of this model and, for the recipe of a result, of this
    restoration. Read it before you use it.

    Parameters
    ----------
    model
        A model's folder, its name among the saved models, or the -recipe.json beside a restored
        image, which tells of the restoration too.
    bibtex
        Write the references for BibTeX instead.
    """
    place = model if model.is_file() else choices.model_folder(model)
    print(api.methods_bibtex(place) if bibtex else api.methods_text(place), end="")
    return OK
