"""Which direct network of a model to use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_hdn.core.direct.config import Statistic
from napari_hdn.core.direct.folder import load
from napari_hdn.core.direct.student import Direct, check_fits
from napari_hdn.core.errors import ConfigurationError, HDNError, ModelFolderError
from napari_hdn.core.hdn import HDN


def choose_direct(
    model: HDN,
    folders: Iterable[Path],
    levels_off: Sequence[int],
    statistic: Statistic | None = None,
) -> Direct:
    """The first of the folders whose direct network fits.

    Raises
    ------
    ModelFolderError
        If the only ones are damaged.
    ConfigurationError
        If none fits; with the reason of the last that did not.
    """
    reason: HDNError | None = None
    for folder in folders:
        try:
            student = load(folder)
            check_fits(student, model, levels_off)
        except (ModelFolderError, ConfigurationError) as error:
            reason = reason or error
            continue
        if statistic is None or student.config.learns == statistic:
            return student
    if reason is not None:
        raise reason
    wanted = "direct network" if statistic is None else f"direct network of the {statistic}"
    raise ConfigurationError(
        f"{model.name} has no {wanted} yet. Teach one first: in the dock Restore images under "
        "One cheap pass, or by napari-hdn distil MODEL IMAGES."
    )
