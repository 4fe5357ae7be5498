"""What a user chose, as frozen objects that are written as JSON beside what they made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SCHEMA_VERSION = 1

Activation = Literal["elu", "silu", "relu"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


class Frozen(BaseModel):
    """A config: immutable, and strict about names so that a typo is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(Frozen):
    """The ladder VAE (Prakash et al. 2022, A.2). Levels count from 1 = bottom, the finest.

    ``trunk="half"`` runs the whole network at half size: pixel-unshuffle before the first
    convolution, pixel-shuffle after the last; level 1 then has no down- and upsampling of its
    own, so every latent level keeps its size and place.

    ``deactivated_levels`` are trained without the image's features, so that they cannot hold
    anything of it (HDN3-n: 1 and 2). ``deactivation`` says what such a level takes instead: its
    ``prior``, which costs no KL, or as published the ``posterior``'s convolution of the features
    from above alone, whose KL is still paid.
    """

    levels: Annotated[int, Field(ge=1, le=8)] = 4
    blocks: Annotated[int, Field(ge=1, le=10)] = 1
    channels: Annotated[int, Field(ge=4, le=256)] = 32
    latent_channels: Annotated[int, Field(ge=1, le=128)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    gated: bool = True
    batch_norm: bool = True
    generative_skip: bool = True
    activation: Activation = "silu"
    initial_kernel: Literal[1, 3, 5, 7] = 5
    trunk: Literal["full", "half"] = "full"
    top_prior: Literal["learned", "standard"] = "learned"
    likelihood: Literal["noise_model", "gaussian"] = "noise_model"
    deactivated_levels: tuple[int, ...] = ()
    deactivation: Literal["prior", "posterior"] = "prior"

    @property
    def multiple(self) -> int:
        """Both sides of what enters the network must be a multiple of this, in pixels."""
        return int(2**self.levels)

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        wrong = [i for i in self.deactivated_levels if not 1 <= i <= self.levels]
        if wrong:
            raise ValueError(
                f"Level {wrong[0]} cannot be switched off: this network has levels 1 (finest) "
                f"to {self.levels}."
            )
        if self.levels in self.deactivated_levels:
            raise ValueError(
                f"Level {self.levels} is the top of the network and has to stay on; "
                f"switch off levels below {self.levels}."
            )
        return self


class NoiseConfig(Frozen):
    """Where the noise model comes from.

    ``auto`` estimates variance = gain * signal + offset from the images; ``gaussian`` takes
    ``sigma`` (in counts) as given; ``file`` loads ``path``, a ``noise_model.json``.
    """

    source: Literal["auto", "gaussian", "file"] = "auto"
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    path: Path | None = None
    curves: Literal["auto", "shared", "per_image"] = "auto"
    refine: bool = True  # watch it during training, and mend its scale within bounds
    bootstrap: bool = False  # refit its shape to posterior samples half-way through training

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.source == "gaussian" and self.sigma is None:
            raise ValueError("A Gaussian noise model needs its sigma in camera counts, such as 25.")
        if self.source == "file" and self.path is None:
            raise ValueError("Choose the noise model file to load.")
        return self


CalibrationSource = Literal["auto", "repeats", "flat_field", "pair", "series", "images", "file"]
NoiseModelKind = Literal["auto", "gaussian", "poisson_gaussian", "gmm", "histogram"]


class CalibrationConfig(Frozen):
    """One calibration: where signal and noise are told apart, and what is fitted.

    ``source``: ``repeats`` of a static field, a ``flat_field``, a noisy image with its clean
    ``pair``, a time ``series`` of slowly changing scenes, the noisy ``images`` alone, or a ``file``
    (``path``); ``auto`` takes the best that the images allow.

    ``frames`` says what becomes of repeats that drifted or bleached: ``register`` fits shift and
    brightness of each frame, ``exclude`` leaves those out, ``keep`` takes all as they are.

    ``background`` are regions (y0, y1, x0, x1) in pixels that hold nothing but noise.
    """

    schema_version: int = SCHEMA_VERSION
    source: CalibrationSource = "auto"
    model: NoiseModelKind = "auto"
    curves: Literal["auto", "shared", "per_image"] = "auto"
    frames: Literal["register", "exclude", "keep"] = "register"
    components: Annotated[int, Field(ge=1, le=10)] = 3
    coefficients: Annotated[int, Field(ge=1, le=6)] = 3
    path: Path | None = None
    channel: Annotated[int, Field(ge=0)] | None = None
    background: tuple[tuple[int, int, int, int], ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _check_path(self) -> Self:
        if self.source == "file" and self.path is None:
            raise ValueError("Choose the noise model file to load.")
        return self


class TrainingConfig(Frozen):
    """One training, complete: with the data and the seed it can be repeated from this alone.

    ``learns="below"``, for a variant of a trained model: what the levels that are on hold stays as it
    was, and only what makes an image of it learns.
    """

    schema_version: int = SCHEMA_VERSION
    preset: str = "custom"
    network: NetworkConfig = NetworkConfig()
    noise: NoiseConfig = NoiseConfig()
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 10.0
    steps: Annotated[int, Field(gt=0)] | None = None
    patch_px: Annotated[int, Field(ge=8)] = 64
    batch_size: Annotated[int, Field(ge=1)] = 16
    optimizer: Literal["adamw", "adamax"] = "adamax"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 60
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    gradient_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    free_bits_per_pixel: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0 / 64**2
    flips: bool = True
    rotations: bool = False
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    channel: Annotated[int, Field(ge=0)] | None = None
    checkpoint_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    preview_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0
    device: DeviceName = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    learns: Literal["all", "below"] = "all"
    stabilise: bool = True  # signal in units of its noise, where the noise model has a curve
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("Say how long to train: either minutes or steps, not both.")
        if self.learns == "below" and not self.network.deactivated_levels:
            raise ValueError("With all levels on there is nothing below that could learn alone.")
        multiple = self.network.multiple
        if self.patch_px % multiple:
            better = -(-self.patch_px // multiple) * multiple
            raise ValueError(
                f"Patch {self.patch_px} is not a multiple of {multiple}, which "
                f"{self.network.levels} levels need; choose {self.patch_px} -> {better}."
            )
        if self.batch_size == 1 and self.patch_px == multiple and self.network.batch_norm:
            raise ValueError(
                f"A batch of one patch of {self.patch_px} pixels leaves a single pixel at the top of "
                f"{self.network.levels} levels, of which batch-norm can tell nothing; choose batch "
                "size 1 -> 2 or a larger patch."
            )
        return self


Output = Literal["mean", "median", "map", "std", "cv", "quantiles", "samples", "difference"]
OUTPUTS: tuple[Output, ...] = get_args(Output)
_LEAST_SAMPLES = {"std": 3, "cv": 3, "median": 3, "map": 3, "quantiles": 3}
_USUAL_SAMPLES = {True: 2, False: 20}  # for nothing but the mean, and for the rest


class GenerationConfig(Frozen):
    """Images drawn from what a model has learned: their size in pixels, how many, which seed.

    ``camera_noise`` adds noise of the model's noise model, as a camera would. Levels that the model
    was trained without, and ``deactivated_levels``, are at their means, as in a restoration.
    """

    schema_version: int = SCHEMA_VERSION
    height: Annotated[int, Field(ge=1)] = 512
    width: Annotated[int, Field(ge=1)] = 512
    number: Annotated[int, Field(ge=1)] = 4
    deactivated_levels: tuple[int, ...] = ()  # besides those it was trained without
    camera_noise: bool = False
    tile_px: Annotated[int, Field(ge=64)] | None = None  # None: whole images where they fit
    device: DeviceName = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class RestorationConfig(Frozen):
    """One restoration: which levels, how many samples, what to compute from them.

    The mean comes from antithetic pairs (noise e and -e at every level): one pair matches the mean
    of tens of independent samples. For the mean alone, ``samples=2`` is one pair, and ``samples=1``
    decodes the means of all levels. All other outputs come from independent samples, since pairs
    do not show the spread; for the mean beside them, the first few get their partners.

    Attributes
    ----------
    outputs : tuple of str
        ``mean`` (MMSE estimate), ``median``, ``map`` (the mode, by mean shift; see
        `napari_hdn.core.restoring.mean_shift`), ``std``, ``cv`` (std / mean), ``quantiles``,
        ``samples``, ``difference`` (of two samples).
    samples : int
        By default 2 for the mean alone, else 20.
    quantiles : tuple of float
        Between 0 and 1.
    difference : (int, int)
        The first of these samples minus the second, counted from 1.
    map_bandwidth : float
        Of the mean shift, as a multiple of how far a sample's nearest 30 % reach.
    """

    schema_version: int = 2
    outputs: tuple[Output, ...] = ("mean",)
    samples: int = 2
    quantiles: tuple[float, ...] = (0.05, 0.95)
    difference: tuple[int, int] = (1, 2)
    map_bandwidth: Annotated[float, Field(gt=0, le=10)] = 1.0
    deactivated_levels: tuple[int, ...] | None = None  # besides those it was trained without
    flips: bool = False
    channel: Annotated[int, Field(ge=0)] | None = None
    tile_px: Annotated[int, Field(ge=64)] | None = None  # None: whole planes where they fit
    batch_size: Annotated[int, Field(ge=1)] = 4
    device: DeviceName = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="before")
    @classmethod
    def _usual_samples(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("samples") is None:
            return {**values, "samples": usual_samples(values.get("outputs", ("mean",)))}
        return values

    @field_validator("outputs")
    @classmethod
    def _in_order(cls, outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        if not outputs:
            raise ValueError(f"Choose at least one output of {', '.join(OUTPUTS)}.")
        return tuple(o for o in OUTPUTS if o in outputs)

    @model_validator(mode="after")
    def _check(self) -> Self:
        n = self.samples
        if n < 1:
            raise ValueError(f"A restoration needs at least 1 sample, not {n}; 2 give a good mean.")
        for output in self.outputs:
            if n < (least := _LEAST_SAMPLES.get(output, 1)):
                raise ValueError(
                    f"{SPOKEN[output]} needs at least {least} samples, better 16; you chose {n}."
                )
        if "quantiles" in self.outputs and not self.quantiles:
            raise ValueError("Say which quantiles, such as 0.05 and 0.95 for 5 and 95 %.")
        if wrong := [q for q in self.quantiles if not 0 <= q <= 1]:
            raise ValueError(
                f"Quantiles lie between 0 and 1, such as 0.05 for 5 %; {wrong[0]:g} does not."
            )
        if len({quantile_name(q) for q in self.quantiles}) < len(self.quantiles):
            raise ValueError("One of the quantiles is there twice; each makes one image.")
        if "difference" in self.outputs:
            a, b = self.difference
            if a == b or min(a, b) < 1 or max(a, b) > n:
                raise ValueError(
                    f"A difference takes two of the samples 1 to {n}; you chose {a} and {b}."
                )
        return self

    @property
    def independent(self) -> bool:
        """Whether all samples are independent; else they come in antithetic pairs."""
        return self.outputs != ("mean",)

    @property
    def products(self) -> tuple[str, ...]:
        """Names of the images that are made, such as ``mean`` and ``q05``."""
        return tuple(
            name
            for output in self.outputs
            for name in (
                [quantile_name(q) for q in self.quantiles] if output == "quantiles" else [output]
            )
        )


SPOKEN: dict[str, str] = {
    "mean": "The mean",
    "median": "The median",
    "map": "The most plausible image (MAP)",
    "std": "The standard deviation",
    "cv": "The coefficient of variation",
    "quantiles": "A quantile",
    "samples": "A stack of samples",
    "difference": "A difference of samples",
}


def usual_samples(outputs: Sequence[str]) -> int:
    """How many samples are taken unless somebody says otherwise."""
    return _USUAL_SAMPLES[set(outputs) <= {"mean"}]


def quantile_name(q: float) -> str:
    """What a quantile's image is called: ``q05`` for 0.05."""
    whole, point, rest = f"{100 * q:.10g}".partition(".")
    return f"q{whole.zfill(2)}{point}{rest}"
