"""The variants of a model: which folders belong together, and what a table of them shows.

Only each folder's config.json is read; no weights, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.errors import ModelFolderError
from napari_hdn.core.json_files import read_object
from napari_hdn.core.training.residuals import ResidualCheck
from napari_hdn.core.training.summary import TrainingSummary
from napari_hdn.io.models.library import NOISE_MODELS, model_places

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN

_CONFIG = "config.json"


@dataclass(frozen=True)
class VariantRecord:
    """What a table of variants shows of one, without its weights.

    Attributes
    ----------
    name, folder
        Where it is.
    family : str
        Shared by all variants of one model.
    levels : int
        Of the network.
    levels_off : tuple of int
        Trained without; 1 = finest.
    rule : str
        What a level that is off takes: ``prior`` or ``posterior``.
    begun : str
        ``warm`` with the weights of ``parent``, ``scratch`` with random ones.
    parent : str or None
        Name of the model it was made of; None for the first of its family.
    steps : int
        Of this training alone.
    stopped : bool
        Whether it was ended before its budget was.
    created : str
        ISO date and time.
    loss, reconstruction : float or None
        Last losses on held-out patches (in training where none were held out), nats per pixel.
    kl_per_level : tuple of float
        Level 1 first, nats per pixel.
    residuals : ResidualCheck or None
        How the noise model held.
    """

    name: str
    folder: Path
    family: str
    levels: int
    levels_off: tuple[int, ...]
    rule: Literal["prior", "posterior"]
    begun: Literal["warm", "scratch"]
    parent: str | None
    steps: int
    stopped: bool
    created: str
    loss: float | None = None
    reconstruction: float | None = None
    kl_per_level: tuple[float, ...] = ()
    residuals: ResidualCheck | None = None

    @property
    def is_first(self) -> bool:
        """Whether the family began with it."""
        return self.parent is None


def read_variant(folder: Path | str) -> VariantRecord:
    """Read what a table shows of a model.

    Raises
    ------
    ModelFolderError
        If its config.json is missing, damaged or of a newer napari-hdn.
    """
    folder = Path(folder)
    config, summary = read_about(folder)
    last, origin = summary.last_losses, summary.origin
    return VariantRecord(
        name=folder.name,
        folder=folder,
        family=summary.family,
        levels=config.network.levels,
        levels_off=tuple(sorted(set(config.network.deactivated_levels))),
        rule=config.network.deactivation,
        begun=origin.begun if origin else "scratch",
        parent=origin.parent if origin else None,
        steps=summary.steps,
        stopped=summary.stopped,
        created=summary.created,
        loss=last.loss if last else None,
        reconstruction=last.reconstruction if last else None,
        kl_per_level=last.kl_per_level if last else (),
        residuals=summary.residuals,
    )


def read_about(folder: Path) -> tuple[TrainingConfig, TrainingSummary]:
    """Read what a model says of itself, without its weights.

    Raises
    ------
    ModelFolderError
        If its config.json is missing, damaged or of a newer napari-hdn.
    """
    try:
        data = read_object(folder / _CONFIG)
        config = TrainingConfig.model_validate(data["training"])
        summary = TrainingSummary.model_validate(data["summary"])
    except OSError as error:
        raise ModelFolderError(
            f"There is no model in {folder}: {error.strerror or error}."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(
            f"{_CONFIG} of model {folder.name} is damaged or of a newer napari-hdn; copy the model "
            "folder again from where it came, or update napari-hdn."
        ) from error
    return config, summary


def variants_of(model: HDN | Path | str) -> list[VariantRecord]:
    """All models of a model's family, itself among them, that are saved.

    Looked for among the saved models and beside the model's own folder; a folder that cannot be read
    is left out.

    Parameters
    ----------
    model : HDN or path
        A model in hand, saved or not, or the folder of one.

    Returns
    -------
    list of VariantRecord
        The first of the family first, then by the levels that are off.

    Raises
    ------
    ModelFolderError
        If ``model`` is a folder that cannot be read.
    """
    if isinstance(model, Path | str):
        folder: Path | None = Path(model)
        family = read_variant(model).family
    else:
        folder, family = model.folder, model.summary.family
    places = {*model_places(), *(() if folder is None else (folder.absolute().parent,))}
    found: dict[Path, VariantRecord] = {}
    for place in places:
        for config in _configs(place):
            record = _readable(config.parent)
            if record is not None and record.family == family:
                found.setdefault(config.parent.resolve(), record)
    return sorted(found.values(), key=lambda r: (not r.is_first, r.levels_off, r.created, r.name))


def _configs(place: Path) -> list[Path]:
    try:
        return [c for c in place.glob(f"*/{_CONFIG}") if c.parent.name != NOISE_MODELS]
    except OSError:  # a folder that may not be read holds no models for this user
        return []


def _readable(folder: Path) -> VariantRecord | None:
    try:
        return read_variant(folder)
    except ModelFolderError:  # whoever opens it will be told
        return None
