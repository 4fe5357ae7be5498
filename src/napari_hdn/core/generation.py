"""generate(): images from the prior alone, of any size (Prakash et al. 2022, Figs. 2 and 7 to 10).

The noise of an image's latents belongs to the image, and a tile decodes its crop of it: an image
that is made in tiles is the same as in one piece, up to what the halo leaves out. The prior needs a
wider one than a restoration, where the image itself mends what is missing at the edges. Largest
difference as a share of the range, Fast, trained on W2S: 36 % without a halo, 7 % with 32 px, 0.3 %
with 64 px, 0.0006 % with 96 px, rounding with the 128 px that are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.config import GenerationConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.errors import MemoryShortError, is_memory_short
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.model.ladder import Noise
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.noise.typical import typical_curve
from napari_hdn.core.normalisation import NoiseCurve
from napari_hdn.core.places import places
from napari_hdn.core.restoring.latent_noise import LatentNoise
from napari_hdn.core.restoring.planes import Prepared
from napari_hdn.core.restoring.sampling import draw_samples
from napari_hdn.core.restoring.tiling import Tile, halo_px, padded_size, plan_tiles, tile_side
from napari_hdn.core.training.statistics import check_finite
from napari_hdn.core.training.variants import switched_off

COMPARED_PX = 512  # longest side of a real piece that generated images are held against
_KEY = 2**20  # of the latents' noise: no sample of a posterior has the noise of a generated image
_BAND = 256  # rows that get their camera noise at a time
_FREE_SHARE = 0.8  # of the memory that is free may be taken by images


def generate(
    model: HDN,
    config: GenerationConfig,
    *,
    like: np.ndarray | None = None,
    kept: int = 1,
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Images from a model's prior: yields fractions done, and each image when it is done.

    Parameters
    ----------
    model : HDN
    config : GenerationConfig
    like : ndarray, optional
        (Y, X) camera counts of a real image, in whose counts the images shall be where the model
        learned from images that were scaled apart; see `remarks`.
    kept : int
        How many images the caller keeps in memory, for the estimate of it.
    stop : Stop, optional
        Looked at after every tile; images that are done have been yielded.

    Yields
    ------
    float or ndarray
        (height, width) float32 camera counts, exactly as large as asked for; the same for the same
        seed, whatever the tiles.

    Raises
    ------
    ConfigurationError, DeviceError
        If levels or device do not exist.
    ImageError
        If ``like`` holds pixels that are not finite.
    MemoryShortError
        If the images do not fit in memory.
    """
    switched_off(model.config.network, {*config.deactivated_levels, *_untrained(model)})
    needed = _check_memory(config, kept)
    if like is not None:
        check_finite(like, "the real image", ())
    with kept_memory():
        generator = _Generator(model, config, like, needed)
        stop = stop or Stop()
        for number in range(config.number):
            image = None
            for part in generator.image(number):
                if stop.requested:
                    return
                if isinstance(part, float):
                    yield (number + part) / config.number
                else:
                    image = part
            assert image is not None
            yield image


def memory_needed(config: GenerationConfig, kept: int) -> int:
    """Bytes that ``kept`` images and the one that is being written take."""
    return 4 * config.height * config.width * (kept + 1)


def remarks(model: HDN, config: GenerationConfig, *, chosen: bool) -> list[str]:
    """What a user should know of the counts of generated images.

    Parameters
    ----------
    model : HDN
    config : GenerationConfig
    chosen : bool
        Whether a real image was chosen to take the scale from.
    """
    told, noise_model = [], model.noise_model
    if not chosen and noise_model.curves > 1 and model.normalisation.stabilised:
        told.append(
            f"{model.name} learned from {noise_model.curves} images that were scaled apart; generated "
            "images are in the counts of the middle one. Choose a real image to have them in its counts."
        )
    if config.camera_noise and noise_model.structured:
        told.append(
            f"The noise model of {model.name} counts the artefact as noise: simulated camera noise, the "
            "same for every pixel, is stronger than the camera's own."
        )
    return told


def real_pieces(
    stack: ImageStack, size: tuple[int, int], number: int, seed: int = 0
) -> list[np.ndarray]:
    """Pieces of real images, to hold generated ones against.

    Parameters
    ----------
    stack : ImageStack
    size : (height, width)
        Of a piece, if the image is as large, but at most 512 x 512 pixels.
    number : int
        From so many planes, if there are as many, at places that the seed decides.

    Returns
    -------
    list of ndarray
        (Y, X) float32 counts, all of the same size: ``number`` of them, or as many as have place
        where no two share more than half their pixels, at least one.
    """
    indices = list(stack.indices())
    height, width = (min(*pair, COMPARED_PX) for pair in zip(size, stack.plane_shape, strict=True))
    n = min(number, len(indices))
    planes = [indices[i * len(indices) // n] for i in range(n)]
    pieces = []
    for index, y, x in places(planes, stack.plane_shape, (height, width), number, seed):
        pieces.append(stack.crop(index, slice(y, y + height), slice(x, x + width)))
        check_finite(pieces[-1], stack.name, index)
    return pieces


def restored_pieces(
    model: HDN, pieces: Sequence[np.ndarray], config: GenerationConfig, stop: Stop | None = None
) -> Iterator[float | np.ndarray]:
    """One posterior sample of each piece: yields fractions done, then (N, Y, X) counts.

    A sample and no mean: where prior and data agree, samples of posteriors are distributed as those
    of the prior, while a mean is smoother than either. A piece of one value everywhere shows no
    structure to restore, and is left as it is: the prior's would pass for the image's.
    """
    stop = stop or Stop()
    restored = []
    for number, counts in enumerate(pieces):
        if np.ptp(counts) == 0:
            restored.append(counts)
            yield (number + 1) / len(pieces)
            continue
        drawn = draw_samples(
            model,
            counts,
            1,
            seed=(config.seed + number) % 2**31,
            off=config.deactivated_levels,
            device=config.device,
            stop=stop,
        )
        restored += [part[0] for part in drawn if isinstance(part, np.ndarray)]
        if stop.requested:
            return
        yield (number + 1) / len(pieces)
    yield np.stack(restored)


class _Generator:
    """Decodes one image after another, in tiles that are made smaller where memory runs out."""

    def __init__(
        self, model: HDN, config: GenerationConfig, like: np.ndarray | None, needed: int
    ) -> None:
        self.prepared = _prepared(model, config)
        self.config = config
        self.choices = self.prepared.network.choices("prior_sample", config.deactivated_levels)
        curve = _curve(model.noise_model, like)
        self.curve = curve if model.normalisation.stabilised else None
        self.noise_model = _camera(model.noise_model, curve) if config.camera_noise else None
        net = self.prepared.network.config
        self.shape = padded_size((config.height, config.width), net.multiple)
        free = self.prepared.device.free_bytes()
        if self.prepared.device.name == "cpu":
            free = max(0, free - needed)
        self.halo = 2 * halo_px(net)
        self.tile_px = config.tile_px or tile_side(self.shape, net, 1, free)
        if config.tile_px is None and self.tile_px is not None:  # planned with the usual halo
            self.tile_px = max(4 * net.multiple, self.tile_px - self.halo)

    def image(self, number: int) -> Iterator[float | np.ndarray]:
        """One image: yields fractions done, then the image."""
        while True:
            try:
                yield from self._tiled(number)
                return
            except Exception as error:
                if not is_memory_short(error):
                    raise
                self._take_smaller_tiles(error)

    def _tiled(self, number: int) -> Iterator[float | np.ndarray]:
        net = self.prepared.network.config
        tiles = plan_tiles(self.shape, self.tile_px, self.halo, net.multiple)
        latents = _latents(self.prepared, self.config.seed, number)
        image = np.empty((self.config.height, self.config.width), np.float32)
        for done, tile in enumerate(tiles, 1):
            signal = self._decoded(tile, latents)
            counts = self.prepared.normalisation.invert(signal.cpu(), self.curve).numpy()
            place = image[tile.inner_y, tile.inner_x]  # without the padding
            place[:] = counts[: place.shape[0], : place.shape[1]]
            yield done / len(tiles)
        if self.noise_model is not None:
            _add_noise(image, self.noise_model, (self.config.seed, number))
        yield image

    def _decoded(self, tile: Tile, latents: LatentNoise) -> Tensor:
        """The kept part of a tile, normalised."""
        network = self.prepared.network
        m = network.config.multiple
        top = (1, (tile.y.stop - tile.y.start) // m, (tile.x.stop - tile.x.start) // m)
        with torch.inference_mode(), self.prepared.autocast():
            drawn = _crops(latents, _KEY, tile)
            signal = network.decode(None, self.choices, drawn, top_size=top).signal[0, 0]
        return signal[tile.crop].float().clone()

    def _take_smaller_tiles(self, error: Exception) -> None:
        net = self.prepared.network.config
        least = max(64, 4 * net.multiple)
        before = min(self.tile_px or max(self.shape), max(self.shape))
        self.tile_px = max(least, before // 2)
        if self.tile_px >= before:
            raise MemoryShortError(
                f"There is not enough memory on {self.prepared.device.label} to generate images of "
                f"{self.config.width} x {self.config.height} pixels, not even in tiles of {before} "
                "pixels. Close other programs, or choose another device."
            ) from error


def _prepared(model: HDN, config: GenerationConfig) -> Prepared:
    return Prepared(
        model.network,
        model.normalisation,
        model.noise_model,
        choose(config.device),
        config.precision,
    )


def _latents(prepared: Prepared, seed: int, number: int) -> LatentNoise:
    channels = prepared.network.config.latent_channels
    return LatentNoise(seed, number, channels, prepared.device.torch)


def _crops(latents: LatentNoise, key: int, tile: Tile) -> Noise:
    """A tile's share of the noise of the whole image's latents."""

    def drawn(level: int, shape: torch.Size) -> Tensor:
        y0, x0 = tile.y.start >> level, tile.x.start >> level
        return latents.crop(key, level, y0, x0, int(shape[-2]), int(shape[-1]))[None]

    return drawn


def _untrained(model: HDN) -> tuple[int, ...]:
    return model.config.network.deactivated_levels


def _check_memory(config: GenerationConfig, kept: int) -> int:
    """Bytes needed for the images.

    Raises
    ------
    MemoryShortError
        If they are not free.
    """
    needed = memory_needed(config, kept)
    free = choose("cpu").free_bytes()
    if needed > _FREE_SHARE * free:
        side = int((_FREE_SHARE * free / 4 / (kept + 1)) ** 0.5)
        several = f"{kept} images" if kept > 1 else "An image"
        raise MemoryShortError(
            f"{several} of {config.height} x {config.width} pixels (height x width) would take "
            f"{needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free. Choose "
            f"{'fewer or ' if kept > 1 else ''}smaller images, up to about {side} x {side} pixels."
        )
    return needed


def _curve(noise_model: NoiseModel, like: np.ndarray | None) -> NoiseCurve | None:
    """The noise curve of a real image, or the model's own: the middle one if it has many."""
    if like is not None:
        return curve_of_plane(noise_model, np.ascontiguousarray(like, dtype=np.float32))
    return typical_curve(noise_model)


def _camera(noise_model: NoiseModel, curve: NoiseCurve | None) -> NoiseModel:
    """The noise model of one image, of those that hold many."""
    if noise_model.curves == 1:
        return noise_model
    refined = isinstance(noise_model, Refined)
    inner = noise_model.inner if isinstance(noise_model, Refined) else noise_model
    own: NoiseModel = inner
    if inner.curves > 1:
        assert curve is not None
        own = PoissonGaussian([float(curve.gain)], [float(curve.offset)], [float(curve.floor)])
    if refined:
        assert isinstance(noise_model, Refined)
        own = Refined(own, [float(noise_model.scale.median())])
    own.clipping = noise_model.clipping
    return own


def _add_noise(image: np.ndarray, noise_model: NoiseModel, entropy: tuple[int, int]) -> None:
    """Turn a (Y, X) signal into noisy counts, in place, whatever tiles it was made of."""
    state = np.random.SeedSequence([*entropy, _KEY]).generate_state(1, np.uint64)[0]
    rng = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    with torch.no_grad():
        for top in range(0, len(image), _BAND):
            band = torch.from_numpy(image[top : top + _BAND])
            band[:] = noise_model.sample(band[None, None], rng)[0, 0]
