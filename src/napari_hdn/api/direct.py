"""Direct networks: teaching, choosing and using them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hdn.api.noted import noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.direct.events import DistillationEvent
from napari_hdn.core.events import RestorationEvent, Stop
from napari_hdn.io.direct_networks import list_direct_folders

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN


@noted
def distil(
    model: HDN,
    images: Sequence[ImageStack],
    config: DirectConfig,
    *,
    folder: Path | str | None = None,
    stop: Stop | None = None,
) -> Iterator[DistillationEvent]:
    """Teach a direct one-pass network by a model; see `core.direct.distillation.distil`."""
    from napari_hdn.core.direct.distillation import distil as _distil

    place = None if folder is None else Path(folder)
    return _distil(model, images, config, folder=place, stop=stop)


@noted
def restore_direct(
    model: HDN,
    student: Direct,
    stack: ImageStack,
    config: RestorationConfig,
    *,
    stop: Stop | None = None,
    done: Collection[tuple[int, ...]] = (),
) -> Iterator[RestorationEvent]:
    """Restore a stack with a direct network; see `core.direct.restoration.restore_direct`."""
    from napari_hdn.core.direct.restoration import restore_direct as _restore

    return _restore(model, student, stack, config, stop=stop, done=done)


def load_direct(folder: Path | str) -> Direct:
    """Load a direct network; see `napari_hdn.core.direct.folder.load`."""
    from napari_hdn.core.direct.folder import load

    return load(Path(folder))


def choose_direct(
    model: HDN, levels_off: Sequence[int], statistic: Literal["mean", "median"] | None = None
) -> Direct:
    """The newest direct network of a model with these levels off; see `core.direct.choice`."""
    from napari_hdn.core.direct.choice import choose_direct as _choose

    folders = [] if model.folder is None else list_direct_folders(model.folder)
    return _choose(model, folders, levels_off, statistic)
