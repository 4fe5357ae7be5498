"""restore(): a generator of events that walks a stack plane by plane.

Memory grows neither with the number of planes nor, beyond a limit, with their size: see
`napari_hdn.core.restoring.restorer`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.frames import central
from napari_hdn.core.config import RestorationConfig, quantile_name
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.errors import (
    DamagedPlaneError,
    HDNError,
    ImageLostError,
    MemoryShortError,
    is_memory_short,
)
from napari_hdn.core.events import (
    Notice,
    PlaneFailed,
    PlaneRestored,
    RateLimit,
    RestorationEvent,
    RestorationFinished,
    RestorationProgress,
    Stop,
)
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.convergence import MeanSpread, pooled
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.restoring.tiled import Read, Rows, TiledRestorer
from napari_hdn.core.training.statistics import check_finite

HUGE_PX = 2**24  # planes beyond are read in pieces
_RANGE_PX = 2048  # side of the middle of a plane whose range is looked at


@dataclass(frozen=True)
class Restored:
    """Result for a whole image, float32 counts; None where it was not asked for.

    Attributes
    ----------
    mean, median, map, std, cv, difference : ndarray or None
        Of the input's shape.
    quantiles : ndarray or None
        (Q, ...) in the order of the config.
    samples : ndarray or None
        (N, ...).
    """

    mean: np.ndarray | None = None
    median: np.ndarray | None = None
    map: np.ndarray | None = None
    std: np.ndarray | None = None
    cv: np.ndarray | None = None
    quantiles: np.ndarray | None = None
    samples: np.ndarray | None = None
    difference: np.ndarray | None = None


def restore(
    model: HDN,
    stack: ImageStack,
    config: RestorationConfig,
    *,
    stop: Stop | None = None,
    done: Collection[tuple[int, ...]] = (),
    restorer: Restorer | None = None,
) -> Iterator[RestorationEvent]:
    """Restore a stack plane by plane, in the order of ``stack.indices()``.

    Parameters
    ----------
    model : HDN
    stack : ImageStack
        Camera counts of any size; read one plane at a time, huge planes some rows at a time.
    config : RestorationConfig
    stop : Stop, optional
        Looked at after every batch of samples; planes that are done have been yielded.
    done : collection of tuple of int
        Indices of planes that are skipped, since they were restored before; the others come out as they
        would have with them.
    restorer : Restorer, optional
        Of this model and config, see `restorer_for`: worth keeping where there are many small images.

    Yields
    ------
    RestorationEvent
        `PlaneRestored` for every plane, or `PlaneFailed` for one of several that is damaged;
        `RestorationFinished` last.

    Raises
    ------
    ImageError
        If no plane can be restored, such as where all hold NaN or infinite pixels.
    ImageLostError
        If the image's file is gone or became another; what was yielded before is good.
    ConfigurationError, DeviceError
        If levels or device do not exist.
    MemoryShortError
        If even small tiles, one sample at a time, do not fit in memory.
    """
    with kept_memory():
        made = restorer or restorer_for(model, config)
        yield from walk(model, stack.of_channel(config.channel), made, stop or Stop(), done)


def restorer_for(model: HDN, config: RestorationConfig) -> Restorer:
    """What restores planes with a model: a copy of its network on the device, ready for prediction.

    Raises
    ------
    ConfigurationError, DeviceError
        If levels or device do not exist.
    """
    return Restorer(
        model.network, model.normalisation, model.noise_model, config, choose(config.device)
    )


def walk(
    model: HDN,
    stack: ImageStack,
    restorer: TiledRestorer,
    stop: Stop,
    done: Collection[tuple[int, ...]] = (),
) -> Iterator[RestorationEvent]:
    """The events of a restoration, by whatever restores its planes; those ``done`` are skipped."""
    started, may_speak = time.monotonic(), RateLimit()
    total, warned, failed = len(stack), False, 0
    spreads: list[tuple[MeanSpread, int]] = []
    restorer.begin()
    for remark in remarks(model, stack):
        yield Notice(remark, "warning")
    for number, index in enumerate(stack.indices()):
        if stop.requested:
            break
        if index in done:
            continue
        complete = False
        try:
            read = checked_reader(stack, index)
            remark = "" if warned else plane_remark(model, stack, index, read)
            if remark:
                warned = True
                yield Notice(remark, "warning")
            for part in restorer.plane(read, stack.plane_shape, number, stop):
                if isinstance(part, Rows):
                    complete = part.complete
                    if part.spread is not None:
                        spreads.append((part.spread, part.rows.stop - part.rows.start))
                    yield PlaneRestored(index, part.planes, part.rows, complete)
                elif may_speak.ready():
                    yield progress_since((number + part) / total, started)
        except DamagedPlaneError as damage:
            failed += 1
            if failed == total:
                raise
            yield PlaneFailed(index, str(damage))
        except Exception as error:
            if is_memory_short(error):
                raise too_large(stack, restorer.device) from error
            raise
        else:
            if not complete:
                break
    else:
        yield progress_since(1.0, started)
        yield RestorationFinished(
            total - failed, total, False, pooled(spreads), failed, restorer.tiles
        )
        return
    yield RestorationFinished(number - failed, total, True, pooled(spreads), failed, restorer.tiles)


def checked_reader(stack: ImageStack, index: tuple[int, ...]) -> Read:
    """Reads parts of a plane and refuses damaged ones; planes that are not huge are read once."""
    whole: np.ndarray | None = None

    def read(ys: slice, xs: slice) -> np.ndarray:
        nonlocal whole
        if stack.plane_shape[0] * stack.plane_shape[1] > HUGE_PX:
            return _checked(stack, index, ys, xs)
        if whole is None:
            whole = _checked(stack, index, slice(None), slice(None))
        return whole[ys, xs]

    return read


def _checked(stack: ImageStack, index: tuple[int, ...], ys: slice, xs: slice) -> np.ndarray:
    try:
        counts = stack.crop(index, ys, xs)
        check_finite(counts, stack.name, index)
    except ImageLostError:  # the other planes are not damaged: they can be restored another time
        raise
    except HDNError as error:
        raise DamagedPlaneError(str(error)) from error
    except Exception as error:
        if is_memory_short(error):
            raise
        where = f", plane {', '.join(map(str, index))}," if index else ""
        raise DamagedPlaneError(f"{stack.name}{where} could not be read: {error}") from error
    return counts


def progress_since(fraction: float, started: float) -> RestorationProgress:
    """Where a restoration is that began at ``started`` of the monotonic clock."""
    elapsed = time.monotonic() - started
    return RestorationProgress(fraction, elapsed, elapsed * (1 - fraction) / max(fraction, 1e-9))


def restore_all(model: HDN, stack: ImageStack, config: RestorationConfig) -> Restored:
    """Restore a stack into arrays of its shape; see `restore`. Notices become warnings.

    A plane that cannot be restored is NaN.
    """
    axes = [a for a in stack.axes if not (a == "C" and stack.channel is not None)]
    shape = [n for a, n in zip(stack.axes, np.shape(stack.array), strict=True) if a in axes]
    out = ImageStack(np.empty(shape, np.float32), "".join(axes), stack.name)
    arrays: dict[str, np.ndarray] = {}
    for product in config.products:
        many = (config.samples,) if product == "samples" else ()
        arrays[product] = np.full((*many, *shape), np.nan, np.float32)
    for event in restore(model, stack, config):
        if isinstance(event, Notice | PlaneFailed):
            warnings.warn(event.text if isinstance(event, Notice) else event.reason, stacklevel=3)
        if isinstance(event, PlaneRestored):
            where = out.selection(event.index, event.rows, slice(None))
            for product, plane in event.planes.items():
                arrays[product][(..., *where)] = (
                    np.swapaxes(plane, -1, -2) if out.x_before_y else plane
                )
    quantiles = [arrays.pop(quantile_name(q)) for q in config.quantiles
                 if "quantiles" in config.outputs]  # fmt: skip
    return Restored(**arrays, quantiles=np.stack(quantiles) if quantiles else None)


def preview_plane(
    network: Ladder,
    normalisation: Normalisation,
    noise_model: NoiseModel,
    image: np.ndarray,
    device: Device,
) -> np.ndarray:
    """A quick look at (Y, X) counts: one pass with the means of all levels."""
    config = RestorationConfig(samples=1, device=device.name)
    restorer = Restorer(network, normalisation, noise_model, config, device)
    return restorer.whole(np.ascontiguousarray(image, dtype=np.float32))["mean"]


def remarks(model: HDN, stack: ImageStack) -> list[str]:
    """What to know before a stack is restored with a model."""
    return list(filter(None, (_cut_remark(model), channel_remark(model, stack))))


def _cut_remark(model: HDN) -> str:
    parts = model.summary.parts
    if not parts or parts[-1].ended != "cut":
        return ""
    return (
        f"The training of {model.name} did not come to its end: this is what it had learned by step "
        f"{model.summary.steps:,}, when it was saved last. Go on with the training (--resume in the "
        "terminal), and restore again."
    )


def channel_remark(model: HDN, stack: ImageStack) -> str:
    """A warning where channels are restored that the model has not learned from, else nothing."""
    learned = model.config.channel
    if learned is None or stack.channel == learned or "C" not in stack.axes:
        return ""
    if stack.array.shape[stack.axes.index("C")] == 1:
        return ""
    which = "all channels" if stack.channel is None else f"channel {stack.channel}"
    return (
        f"The model {model.name} learned from channel {learned} alone, but {which} of {stack.name} "
        f"will be restored with it. Choose channel {learned}, or a model of each channel."
    )


def too_large(stack: ImageStack, device: Device) -> MemoryShortError:
    """The error where not even small tiles of a plane fit in memory."""
    height, width = stack.plane_shape
    return MemoryShortError(
        f"There is not enough memory on {device.label} to restore {stack.name} ({width} x {height} "
        "pixels), not even in small tiles. Close other programs, or choose the CPU."
    )


def plane_remark(model: HDN, stack: ImageStack, index: tuple[int, ...], read: Read) -> str:
    """A warning where a plane's range is far outside that of the training images, else nothing."""
    where = f", plane {', '.join(map(str, index))}," if index else ""
    middle = read(*central(*stack.plane_shape, _RANGE_PX))
    return range_remark(model, middle, f"{stack.name}{where}")


def range_remark(model: HDN, counts: np.ndarray, name: str) -> str:
    """A warning where an image's range is far outside that of the training images, with numbers."""
    low, high = (float(v) for v in np.percentile(counts, [0.1, 99.9]))
    trained_low, trained_high = model.summary.data_low, model.summary.data_high
    span = max(trained_high - trained_low, 1e-12)
    outside = high > trained_high + span or low < trained_low - span
    tiny = high < trained_low or low > trained_high or high - low < 0.02 * span
    if not (outside or tiny):
        return ""
    if low == high == 0:
        return f"All pixels of {name.rstrip(',')} are 0: a lost frame? Its result means nothing."
    return (
        f"{name} runs from {low:.5g} to {high:.5g} counts, but the model was trained on images from "
        f"{trained_low:.5g} to {trained_high:.5g}. The result may be wrong: restore images from the "
        "same camera settings, not rescaled, or train on these images."
    )
