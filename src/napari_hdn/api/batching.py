"""Restoring many images into a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.core.events import Notice, RateLimit, Stop
from napari_hdn.io.batch.events import BatchEvent, BatchLooking

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.restorer import Restorer
    from napari_hdn.io.restorations import Format


def restore_batch(
    model: HDN,
    images: Sequence[str | Path],
    config: RestorationConfig,
    folder: Path,
    *,
    axes: str | None = None,
    student: Direct | None = None,
    integers: bool = False,
    format: Format = "ome-tiff",
    pyramid: bool | None = None,
    tag: str = "",
    again: bool = False,
    strict_channel: bool = True,
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
    """
    from napari_hdn import api
    from napari_hdn.core.identity import asked_digest
    from napari_hdn.io.batch.image import Work
    from napari_hdn.io.batch.images import BatchImage, find_images, is_one
    from napari_hdn.io.batch.run import run, run_alone

    stop = stop or Stop()
    told: list[Notice] = []
    opened_channel = config.channel if strict_channel else None
    base, looking = find_images(
        images, axes=axes, channel=opened_channel, out=folder, tell=told.append
    )
    found: list[BatchImage] = []
    limit = RateLimit()
    limit.rest()  # of a few images there is nothing to tell
    for looked in looking:
        if isinstance(looked, list):
            found = [image.of_channel(config.channel) for image in looked]
        elif stop.requested:
            raise StoppedEarly("Stopped while the images were looked into; nothing was done yet.")
        elif limit.ready():
            yield BatchLooking(looked)
    yield from told
    off = model.levels_off(config)
    name = model.name if student is None else f"{model.name}, direct network {student.name}"

    asked = asked_digest(
        model, config, student, axes=axes, integers=integers, tag=tag, format=format
    )

    restorer: Restorer | None = None  # kept: to make it takes as long as a small image

    def restored(
        stack: api.FileStack, done: Collection[tuple[int, ...]]
    ) -> Iterator[api.RestorationEvent]:
        if student is None:
            nonlocal restorer
            restorer = restorer or api.restorer_for(model, config)
            return api.restore(model, stack, config, stop=stop, done=done, restorer=restorer)
        return api.restore_direct(model, student, stack, config, stop=stop, done=done)

    def files(stack: api.FileStack, place: Path) -> api.RestorationFiles:
        return api.RestorationFiles(
            place,
            stack,
            config,
            tag=tag,
            model=name,
            levels_off=off,
            integers=integers,
            format=format,
            identity=asked,
            pyramid=pyramid,
        )

    work = Work(
        restored,
        files,
        folder,
        asked,
        name,
        ", ".join(map(str, off)),
        config.samples,
    )
    if len(found) == len(images) == 1 and is_one(images[0]):
        yield from run_alone(found[0], work, stop=stop)
    else:
        yield from run(found, base, work, again=again, stop=stop)
