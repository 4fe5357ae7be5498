"""``napari-hdn export`` and ``napari-hdn import``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import Exported, Imported, Notice, SharingProgress, ZooDetails
from napari_hdn.cli import choices
from napari_hdn.cli.commands.shared import OK
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def export(
    model: Path,
    file: Path,
    *,
    format: Literal["zip", "bioimageio"] = "zip",
    training_state: Annotated[bool, Parameter(negative="")] = False,
    author: tuple[str, ...] = (),
    license: str = "CC-BY-4.0",
    title: str = "",
    description: str = "",
    tag: tuple[str, ...] = (),
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
) -> int:
    """Pack a model into one file, for a colleague or for the BioImage Model Zoo.

    The .zip holds the model folder with its direct networks and notes, and a checksum of every file;
    'napari-hdn import' takes it in again. With --format bioimageio the file is a package for the
    BioImage Model Zoo: one deterministic pass of the model (no uncertainty) that other programs run,
    checked as the zoo does, and the whole model for napari-hdn. An existing file is kept, the new one
    numbered.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    file
        The .zip to write, or a folder for it.
    format
        What is written.
    training_state
        With zip: pack what training on needs, too. The file is then some five times as large.
    author
        With bioimageio: who made the model; once for each name.
    license
        With bioimageio: under which others may use it, by its SPDX name.
    title
        With bioimageio: what it is called; by default HDN and the model's name.
    description
        With bioimageio: one or two sentences about it.
    tag
        With bioimageio: a word to find it by, such as confocal; once for each.
    deactivate
        With bioimageio: levels to switch off, 1 = finest, such as 1,2. By default as trained.
    """
    zoo = None
    if format == "bioimageio":
        if not author:
            raise ConfigurationError(
                "A package for the BioImage Model Zoo names who made the model: give --author NAME, "
                "once for each."
            )
        if training_state:
            raise ConfigurationError("--training-state goes with --format zip only.")
        zoo = ZooDetails(
            authors=author,
            title=title,
            description=description,
            license=license,
            tags=tag,
            deactivated_levels=choices.levels(deactivate) or (),
        )
    elif author or title or description or tag or deactivate:
        raise ConfigurationError(
            "--author, --title, --description, --tag and --off say what goes into a package for the "
            "BioImage Model Zoo; give --format bioimageio with them."
        )
    folder = choices.model_folder(model)
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        _tell(
            api.export_model(folder, file, training_state=training_state, zoo=zoo, stop=stop),
            progress,
        )
    return OK


def import_model(file: Path, *, name: str | None = None) -> int:
    """Take a model in that somebody sent, among the saved models.

    Takes a .zip that 'napari-hdn export' wrote, in either format, or of a model folder. Nothing in it is
    run, whoever sent it; a file that is damaged or does not hold a model leaves nothing behind.

    Parameters
    ----------
    file
        The .zip.
    name
        Of the model; by default as it was called. Numbered where another model has it.
    """
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        _tell(api.import_model(file, name, stop=stop), progress)
    return OK


def _tell(events: Iterator[object], progress: Progress) -> None:
    for event in events:
        match event:
            case Notice():
                progress.notice(event)
            case SharingProgress():
                progress.update(event.fraction, event.doing, float("inf"))
            case Exported():
                progress.say(f"Wrote {event.path}")
            case Imported():
                progress.say(f"Model: {event.folder}")
