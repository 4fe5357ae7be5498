"""Restoring many images into a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn.api.cluster import SharedWork
from napari_hdn.api.noted import noted
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.core.events import Notice, RateLimit, RestorationEvent, Stop
from napari_hdn.io.batch.events import BatchEvent, BatchLooking

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.recipes.schema import Recipe
    from napari_hdn.core.restoring.restorer import Restorer
    from napari_hdn.io.batch.image import Work
    from napari_hdn.io.cluster.crew import Crew
    from napari_hdn.io.images import FileStack
    from napari_hdn.io.restorations import Format, RestorationFiles


@noted
def restore_batch(
    model: HDN,
    images: Sequence[str | Path],
    config: RestorationConfig,
    folder: Path,
    *,
    axes: str | None = None,
    channel_name: str | None = None,
    student: Direct | None = None,
    integers: bool = False,
    format: Format = "ome-tiff",
    pyramid: bool | None = None,
    tag: str = "",
    again: bool = False,
    strict_channel: bool = True,
    crew: Crew | None = None,
    stop: Stop | None = None,
) -> Iterator[BatchEvent]:
    """Restore images into a folder, with a table of what came of each; what was done stays done.

    Images in subfolders go to subfolders of the same names. An image that cannot be opened or
    restored is told, and ends nothing. Begun again, the batch restores what is missing: images
    that the table ``hdn-batch.csv`` does not know as done with the same model and settings, that were
    changed since, or whose results are gone. No file is ever written over.

    One image that is named alone gets no table, is always restored anew, and its errors are raised.

    Parameters
    ----------
    model : HDN
    images : sequence of str or Path
        Files, patterns, folders; see `napari_hdn.io.images.open_images`.
    config : RestorationConfig
    folder : Path
        To write to.
    axes : str, optional
        One letter per axis, for all images.
    channel_name : str, optional
        Restore the channel of this name alone, whatever its number in each file; instead of the
        config's channel.
    student : Direct, optional
        A direct network that restores in the model's place.
    integers : bool
        Whether images in counts get the input's integer type.
    format, pyramid
        Of the files; see `napari_hdn.io.restorations.RestorationFiles`.
    tag : str
        In the names of the files, behind ``hdn``.
    again : bool
        Whether to restore also what was done before.
    strict_channel : bool
        Whether an image without the channel of the config is an error, rather than used as it is.
    crew : Crew, optional
        Processes that share the work; see `napari_hdn.api.hire`. They write OME-Zarr.
    stop : Stop, optional
        Looked at all the time; planes that are done are kept.

    Yields
    ------
    BatchEvent
        `BatchLooking` while images are opened, `BatchStarted`, then for each image `ImageBegun`,
        `BatchProgress`, `Notice` and `ImageOver`; `BatchFinished` last.

    Raises
    ------
    ImageFileError
        If something that is named is not there.
    OutputError
        If the disk is full, or the folder cannot be written to; the table is kept.
    ConfigurationError, DeviceError
        If the settings do not fit the model.
    ClusterError
        If the crew cannot do the work, or is lost; what is done is kept.
    """
    from napari_hdn.io.batch.images import BatchImage, find_images, is_one
    from napari_hdn.io.batch.run import run, run_alone

    stop = stop or Stop()
    told: list[Notice] = []
    numbered = config.channel if strict_channel else None
    base, looking = find_images(
        images, axes=axes, channel=channel_name or numbered, out=folder, tell=told.append
    )
    found: list[BatchImage] = []
    limit = RateLimit(per_second=0.5)
    limit.rest()  # of a few images there is nothing to tell
    for looked in looking:
        if isinstance(looked, list):
            found = [image.of_channel(config.channel) for image in looked]
        elif stop.requested:
            raise StoppedEarly("Stopped while the images were looked into; nothing was done yet.")
        elif limit.ready():
            yield BatchLooking(looked)
    yield from told
    work = _work(
        model,
        config,
        folder,
        {
            "axes": axes,
            "integers": integers,
            "tag": tag,
            "format": format,
            # older batches, which knew no names, are gone on with
            **({} if channel_name is None else {"channel_name": channel_name}),
        },
        pyramid=pyramid,
        student=student,
        crew=crew,
        stop=stop,
    )
    if len(found) == len(images) == 1 and is_one(images[0]):
        yield from run_alone(found[0], work, stop=stop)
    else:
        yield from run(found, base, work, again=again, stop=stop)


@noted
def restore_opened(
    model: HDN,
    stack: FileStack,
    config: RestorationConfig,
    folder: Path,
    *,
    student: Direct | None = None,
    integers: bool = False,
    format: Format = "ome-tiff",
    tag: str = "",
    stop: Stop | None = None,
) -> Iterator[BatchEvent]:
    """Restore one image that is open into a folder; as `restore_batch` does one that is named alone."""
    from napari_hdn.io.batch.images import BatchImage
    from napari_hdn.io.batch.run import run_alone

    stop = stop or Stop()
    about = {"axes": stack.axes, "integers": integers, "tag": tag, "format": format}
    work = _work(model, config, folder, about, student=student, stop=stop)
    yield from run_alone(BatchImage.of(stack), work, stop=stop)


def _work(
    model: HDN,
    config: RestorationConfig,
    folder: Path,
    about: dict[str, Any],
    *,
    stop: Stop,
    pyramid: bool | None = None,
    student: Direct | None = None,
    crew: Crew | None = None,
) -> Work:
    """What is done with every image; ``about`` are axes, integers, tag, and format of the files."""
    from napari_hdn import api
    from napari_hdn.core.identity import asked_digest
    from napari_hdn.core.recipes.making import RestorationRecipes
    from napari_hdn.io.batch.image import Work
    from napari_hdn.io.restorations import leftovers

    integers, tag, format = about["integers"], about["tag"], about["format"]
    off = model.levels_off(config)
    name = model.name if student is None else f"{model.name}, direct network {student.name}"
    asked = asked_digest(model, config, student, **about)
    recipes = RestorationRecipes(
        model, config, student=student, integers=integers, tag=tag, file_format=format
    )
    shared = None if crew is None else SharedWork(crew, model, config, format, student, stop)
    restorer: Restorer | None = None  # kept: to make it takes as long as a small image

    def restored(stack: FileStack, done: Collection[tuple[int, ...]]) -> Iterator[RestorationEvent]:
        if shared is not None:
            return shared.restore(stack)
        if student is None:
            nonlocal restorer
            restorer = restorer or api.restorer_for(model, config)
            return api.restore(model, stack, config, stop=stop, done=done, restorer=restorer)
        return api.restore_direct(model, student, stack, config, stop=stop, done=done)

    hidden = cache(leftovers)  # listed once: folders may come to hold ten thousands of results

    def files(stack: FileStack, place: Path) -> RestorationFiles:
        named: dict[str, Any] = {
            "tag": tag,
            "model": name,
            "levels_off": off,
            "integers": integers,
            "tidy": any(name.startswith(f".{stack.stem}_hdn") for name in hidden(place)),
        }
        if shared is not None:
            return shared.files(stack, place, pyramid=pyramid, **named)
        return api.RestorationFiles(
            place,
            stack,
            config,
            format=format,
            identity=asked,
            pyramid=pyramid,
            **named,
        )

    def recipe(stack: FileStack) -> Recipe:
        return recipes.of(stack, by=None if shared is None else shared.environment)

    levels = ", ".join(map(str, off))
    return Work(restored, files, recipe, folder, asked, name, levels, config.samples)
