"""What a trained model makes of pieces of the images: to learn from, and to be examined on.

The pieces held out are those that the model's own training held out of the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.frames import read
from napari_hdn.core.devices import Device
from napari_hdn.core.direct.config import DirectConfig, Statistic
from napari_hdn.core.errors import ImageError
from napari_hdn.core.hdn import HDN
from napari_hdn.core.normalisation import NoiseCurve, Normalisation
from napari_hdn.core.restoring.latent_noise import LatentNoise
from napari_hdn.core.restoring.padding import reflect_pad
from napari_hdn.core.restoring.planes import Prepared
from napari_hdn.core.restoring.tiling import halo_px, tile_side
from napari_hdn.core.training.patches import Region, Split, split_regions

LESSON_PX, EXAM_PX = 512, 256
EXAM_TILES, EXAM_SAMPLES = 3, 16
HELD_OUT = 0.1  # of the images, where the model's training held out nothing
# far from those of `restore`, which count planes from 0 and samples from 0
EXAM_PLANE = 2**31 - 1


@dataclass(frozen=True)
class Piece:
    """A part of a plane, (Y, X) pixels; ``number`` is its running number."""

    region: Region
    y0: int  # in the plane
    x0: int
    height: int
    width: int
    number: int

    @property
    def pixels(self) -> int:
        """How many."""
        return self.height * self.width


@dataclass(frozen=True)
class Lesson:
    """A piece as a network sees it, and what it shall make of it."""

    image: Tensor  # (Y, X) normalised
    targets: Tensor  # (K, Y, X) normalised; one of them at a time


@dataclass(frozen=True)
class Exam:
    """A held-out piece with the mean (or median) of many samples."""

    image: Tensor  # (Y, X) normalised
    curve: NoiseCurve | None
    right: Tensor  # (Y, X) counts
    pair: Tensor  # (Y, X) counts, of the mean of one antithetic pair
    variance: float  # of the samples, counts squared
    doubt: float  # mean squared error of ``right`` by its finite number of samples, counts squared


def plan_pieces(
    regions: Sequence[Region], side_px: int, megapixels: float, least_px: int, seed: int
) -> list[Piece]:
    """Cut regions into pieces, in random order, until there are enough.

    Pieces with a side below ``least_px`` are left out, unless there are no others.
    """
    cut = [
        Piece(r, r.y0 + y, r.x0 + x, min(side_px, r.height - y), min(side_px, r.width - x), 0)
        for r in regions
        for y in range(0, r.height, side_px)
        for x in range(0, r.width, side_px)
    ]
    large = [p for p in cut if min(p.height, p.width) >= least_px] or cut
    chosen: list[Piece] = []
    for k in np.random.default_rng([seed, 23]).permutation(len(large)).tolist():
        if chosen and sum(p.pixels for p in chosen) >= 1e6 * megapixels:
            break
        p = large[k]
        chosen.append(Piece(p.region, p.y0, p.x0, p.height, p.width, len(chosen)))
    return chosen


def split(stacks: Sequence[ImageStack], model: HDN, config: DirectConfig) -> Split:
    """What to learn from, and what to hold out.

    Raises
    ------
    ImageError
        If an image is smaller than a patch.
    """
    for stack in stacks:
        if min(stack.plane_shape) < config.patch_px:
            height, width = stack.plane_shape
            raise ImageError(
                f"{stack.name} has {width} x {height} pixels, less than a patch of "
                f"{config.patch_px} x {config.patch_px}; leave it out, or choose a smaller patch."
            )
    own = model.config
    fraction = own.validation_fraction or HELD_OUT
    return split_regions(
        stacks,
        own.model_copy(update={"validation_fraction": fraction, "patch_px": config.patch_px}),
    )


class Teacher:
    """A trained model on a device, with levels off."""

    def __init__(
        self, model: HDN, off: Sequence[int], device: Device, config: DirectConfig
    ) -> None:
        self.prepared = Prepared(
            model.network, model.normalisation, model.noise_model, device, config.precision
        )
        self.device = device
        self.choices = self.prepared.network.choices("sample", off)
        self.config = config

    @property
    def normalisation(self) -> Normalisation:
        """Between counts and what networks see."""
        return self.prepared.normalisation

    def side(self, wanted: int) -> int:
        """Of pieces that fit in memory with what is seen around them, in pixels."""
        net = self.prepared.network.config
        seen = wanted + 2 * halo_px(net)
        fits = tile_side((seen, seen), net, 1, self.device.free_bytes())
        return wanted if fits is None else min(wanted, fits)

    def lesson(self, piece: Piece) -> Lesson:
        """What the direct network shall make of a piece."""
        image, curve, samples = self._draw(
            piece, self.config.samples, antithetic=self.config.learns == "mean", plane=piece.number
        )
        if self.config.learns == "mean":
            mean = self.normalisation.invert(samples, curve).mean(dim=0, keepdim=True)
            samples = self.normalisation.apply(mean, curve)
        return Lesson(image, samples)

    def exam(self, piece: Piece) -> Exam:
        """What a direct network is measured by on a piece."""
        plane = EXAM_PLANE - piece.number
        image, curve, samples = self._draw(piece, EXAM_SAMPLES, antithetic=False, plane=plane)
        _, _, pair = self._draw(piece, 2, antithetic=True, plane=plane)
        counts = self.normalisation.invert(samples, curve)
        right, doubt = _statistic(counts, self.config.learns)
        return Exam(
            image,
            curve,
            right,
            self.normalisation.invert(pair, curve).mean(dim=0),
            float(counts.var(dim=0).mean()),
            doubt,
        )

    def _draw(
        self, piece: Piece, count: int, *, antithetic: bool, plane: int
    ) -> tuple[Tensor, NoiseCurve | None, Tensor]:
        """(Y, X) image, its curve, and (count, Y, X) samples, normalised."""
        network, at = self.prepared.network, self.device.torch
        seen, counts = _read(piece, halo_px(network.config))
        curve = self._curve(piece)
        padded = reflect_pad(torch.from_numpy(counts), network.config.multiple)
        image = self.normalisation.apply(padded, curve).to(at)
        features = self.prepared.encode_image(image)
        noise = LatentNoise(self.config.seed, plane, network.config.latent_channels, at)
        samples = []
        for number in range(count):
            key, sign = (number // 2, 1.0 - 2.0 * (number % 2)) if antithetic else (number, 1.0)

            def drawn(level: int, shape: torch.Size, key: int = key, sign: float = sign) -> Tensor:
                return sign * noise.crop(key, level, 0, 0, int(shape[-2]), int(shape[-1]))[None]

            with torch.inference_mode(), self.prepared.autocast():
                signal = network.decode(features, self.choices, drawn).signal[0, 0]
            samples.append(signal[seen].clone().cpu())
        return image.cpu()[seen], curve, torch.stack(samples)

    def _curve(self, piece: Piece) -> NoiseCurve | None:
        """Of the whole plane, as when it is restored."""
        return self.prepared.curve(read(piece.region.stack, piece.region.index))


def _read(piece: Piece, halo: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """(Y, X) counts of a piece with context around it, and where it lies in these."""
    region = piece.region
    plane = region.stack.plane_shape
    y0, x0 = max(0, piece.y0 - halo), max(0, piece.x0 - halo)
    y1 = min(plane[0], piece.y0 + piece.height + halo)
    x1 = min(plane[1], piece.x0 + piece.width + halo)
    counts = region.read(y0 - region.y0, x0 - region.x0, y1 - y0, x1 - x0)
    y, x = piece.y0 - y0, piece.x0 - x0
    return (slice(y, y + piece.height), slice(x, x + piece.width)), counts


def _statistic(samples: Tensor, statistic: Statistic) -> tuple[Tensor, float]:
    """(Y, X) mean or median of (N, Y, X) independent samples, and its own squared error."""
    doubt = float(samples.var(dim=0).mean()) / len(samples)
    if statistic == "mean":
        return samples.mean(dim=0), doubt
    # of a normal distribution; with an even number the two in the middle are averaged
    return torch.quantile(samples, 0.5, dim=0), doubt * np.pi / 2


class Draws:
    """Random crops of the lessons; a pure function of the seed and the step."""

    def __init__(self, lessons: Sequence[Lesson], config: DirectConfig, flips: bool) -> None:
        self.lessons = list(lessons)
        self.config = config
        self.flips = flips
        area = np.array([lesson.image.numel() for lesson in lessons], dtype=np.float64)
        self._weights = area / area.sum()

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """(B, 1, patch, patch) images and what to make of them, normalised."""
        rng = np.random.default_rng([self.config.seed, step])
        side = self.config.patch_px
        images: list[Tensor] = []
        targets: list[Tensor] = []
        for k in rng.choice(len(self.lessons), size=self.config.batch_size, p=self._weights):
            lesson = self.lessons[k]
            y, x = (int(rng.integers(n - side + 1)) for n in lesson.image.shape)
            which = int(rng.integers(len(lesson.targets)))
            turned = [d for d in (0, 1) if rng.integers(2) and self.flips]
            for source, found in ((lesson.image, images), (lesson.targets[which], targets)):
                found.append(source[y : y + side, x : x + side].flip(turned))
        return torch.stack(images)[:, None], torch.stack(targets)[:, None]
