"""Finding the images and the model of a recipe again, and making sure that they are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from napari_hdn.core.errors import HDNError, ImageFileError, ModelFolderError, RecipeError
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.identity import fingerprint, network_digest
from napari_hdn.core.recipes.images import ImageRecord, differences
from napari_hdn.core.recipes.schema import DirectRecord, TrainingRecord
from napari_hdn.io.images import FileStack, find_files, open_images
from napari_hdn.io.models.direct_networks import list_direct_folders
from napari_hdn.io.models.library import list_models
from napari_hdn.io.models.variants import read_variant
from napari_hdn.io.naming import split_suffix

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct


def training_images(
    training: TrainingRecord, base: Path, data: Path | None = None, stop: Stop | None = None
) -> list[list[FileStack]]:
    """The images of each part of a training; see `find_image`."""
    found: list[list[FileStack]] = []
    for part in training.parts:
        if part.images or not found:
            found.append([find_image(record, base, data, stop) for record in part.images])
        else:
            found.append(found[-1])
    return found


def find_image(
    record: ImageRecord, base: Path, data: Path | None = None, stop: Stop | None = None
) -> FileStack:
    """Open the image that a recipe speaks of, and check that it is the same.

    Parameters
    ----------
    record : ImageRecord
    base : Path
        The recipe's folder.
    data : Path, optional
        A folder to look in instead of the recorded place: for a file of the recorded name, else for
        any image with the same pixels.

    Raises
    ------
    RecipeError
        If it is not there, or another; the message says in what it differs.
    """
    if data is not None:
        return _in_folder(record, data, stop)
    if record.path is None:
        raise RecipeError(
            f"{record.name} was a layer in napari, of which no file is known. Save it as "
            "OME-TIFF and say "
            "with --data in which folder it is."
        )
    path = base / record.path
    if not _is_there(path):
        raise RecipeError(
            f"{record.name} is not at {path} any more; say with --data in which folder it is now."
        )
    different = ""
    for stack in _opened(record, path):
        different = differences(record, stack, stop)
        if not different:
            return stack
    raise _another(record, path, different)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is longer than any
        return False


def _in_folder(record: ImageRecord, folder: Path, stop: Stop | None) -> FileStack:
    try:
        files = find_files([folder])
    except ImageFileError as error:
        raise RecipeError(f"{record.name} cannot be looked for: {error}") from error
    names = {_file_name(record), record.name}
    named = [f for f in files if f.name in names or split_suffix(f.name)[0] in names]
    different = ""
    for file in (*named, *(f for f in files if f not in named)):
        try:
            for stack in _opened(record, file):
                found = differences(record, stack, stop)
                if not found:
                    return stack
                different = different or (found if file in named else "")
        except HDNError:  # some other image
            if file in named:
                raise
    if named:
        raise _another(record, named[0], different)
    raise RecipeError(
        f"No image in {folder} is {record.name} ({record.in_words()}), neither by name nor by its "
        "pixels."
    )


def _opened(record: ImageRecord, path: Path) -> Iterator[FileStack]:
    """What a file holds of the recorded axes and series, under the recorded name."""
    for stack in open_images([path], axes=record.axes):
        if record.series is not None and stack.series not in (None, record.series):
            continue
        yield replace(stack.of_channel(record.channel), name=record.name)


def _file_name(record: ImageRecord) -> str:
    """Of the recorded path, whatever system it was made on."""
    if record.path is None:
        return record.name
    windows = "\\" in record.path and "/" not in record.path
    return (PureWindowsPath if windows else PurePosixPath)(record.path).name


def _another(record: ImageRecord, path: Path, different: str) -> RecipeError:
    return RecipeError(
        f"{path} is not the image that the recipe was made with: "
        f"{different or 'it does not hold that image'}. Say with --data in which folder the "
        "right one is."
    )


def find_model(
    *,
    sha256: str,
    family: str,
    name: str,
    places: Sequence[Path],
    given: Path | None = None,
) -> HDN:
    """The model that a recipe speaks of: by its path, else by its weights among the saved models.

    Parameters
    ----------
    sha256 : str
        Its `napari_hdn.core.identity.fingerprint`.
    family, name : str
    places : sequence of Path
        Where it was.
    given : Path, optional
        Where the user says that it is.

    Raises
    ------
    RecipeError
        If it is not found, or has been trained on since.
    """
    from napari_hdn.core.checkpoint import load

    if given is not None:
        model = load(given)
        if fingerprint(model) != sha256:
            raise RecipeError(
                f"{model.name} is not the model of the recipe, {name}, as it was then: its weights "
                "differ. It may have been trained on since."
            )
        return model
    changed = ""
    there = filter(_is_there, places)
    for folder in dict.fromkeys((*there, *_of_family(family))):
        try:
            model = load(folder)
        except ModelFolderError:  # moved, or damaged: another may be the same
            continue
        if fingerprint(model) == sha256:
            return model
        changed = changed or model.name
    since = f" {changed} is of its family, but has other weights." if changed else ""
    raise RecipeError(
        f"The model {name} of the recipe was not found, neither where it was nor among the saved models."
        f"{since} Say with --model where it is."
    )


def find_direct(recorded: DirectRecord, model: HDN, base: Path) -> Direct:
    """The direct network that a recipe restored with: the very one, by its weights.

    Parameters
    ----------
    recorded : DirectRecord
    model : HDN
        Which taught it; its direct networks are looked at, and the place that was recorded.
    base : Path
        The folder of the recipe.

    Raises
    ------
    RecipeError
        If there is none with these weights.
    """
    from napari_hdn.core.direct.folder import load

    places = [] if recorded.path is None else [base / recorded.path]
    if model.folder is not None:
        places += list_direct_folders(model.folder)
    others = []
    for folder in dict.fromkeys(place.resolve() for place in places):
        try:
            student = load(folder)
        except ModelFolderError:  # damaged or gone: another may be the same
            continue
        if network_digest(student.network) == recorded.sha256:
            return student
        others.append(student.name)
    known = f" What there is, {', '.join(others)}, has other weights." if others else ""
    raise RecipeError(
        f"The direct network {recorded.name} of the recipe was not found among those of {model.name}."
        f"{known} It may have been deleted, or taught anew. Put its folder back into "
        f"{model.name}/direct, or restore the image anew with what there is, which gives another result."
    )


def _of_family(family: str) -> Iterator[Path]:
    for folder in list_models():
        try:
            if not family or read_variant(folder).family == family:
                yield folder
        except ModelFolderError:  # whoever opens it will be told
            continue
