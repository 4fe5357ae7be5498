"""What a user chose for a direct network."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_hdn.core.config import SCHEMA_VERSION, DeviceName, Frozen

Statistic = Literal["mean", "median"]
Width = Annotated[int, Field(ge=1, le=512)]


class DirectNetworkConfig(Frozen):
    """A U-Net of convolutions without norms.

    ``unshuffle`` pixels a side are taken together by the first convolution; ``widths`` are the channels
    of its levels, each of half the size of the one before.
    """

    unshuffle: Literal[1, 2, 4] = 2
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=6)] = (32, 48, 64)

    @property
    def multiple(self) -> int:
        """Both sides of what enters the network must be a multiple of this, in pixels."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)

    @property
    def reach_px(self) -> int:
        """How far from a pixel anything can lie that has a say in it; rounded up.

        A convolution of three reaches one pixel of its level; each level has two on the way down and,
        but for the lowest, two on the way up; the first and the last are at the top. Resampling in
        blocks reaches one more pixel of the level below.
        """
        last = len(self.widths) - 1
        per_level = [2 if k == last else 4 for k in range(last + 1)]
        per_level[0] += 2
        return sum((n + 1) * self.unshuffle * 2**k for k, n in enumerate(per_level))


class DirectConfig(Frozen):
    """One distillation, complete: with the model, the images and the seed it can be repeated.

    ``learns="mean"`` minimises the squared error to the mean of ``samples`` posterior samples in
    antithetic pairs; ``"median"`` the absolute error to ``samples`` independent ones, one by one. What
    the teacher made of at most ``megapixels`` of the images is computed once, before the first step.
    """

    schema_version: int = SCHEMA_VERSION
    network: DirectNetworkConfig = DirectNetworkConfig()
    learns: Statistic = "mean"
    deactivated_levels: tuple[int, ...] | None = None  # besides those the model was trained without
    samples: Annotated[int, Field(ge=2, le=64)] = 2
    megapixels: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 8.0
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 3.0
    steps: Annotated[int, Field(gt=0)] | None = None
    patch_px: Annotated[int, Field(ge=8)] = 64
    batch_size: Annotated[int, Field(ge=1)] = 8
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    gradient_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    channel: Annotated[int, Field(ge=0)] | None = None
    device: DeviceName = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("Say how long to teach: either minutes or steps, not both.")
        if self.learns == "mean" and self.samples % 2:
            raise ValueError(
                f"The mean is taught by antithetic pairs, so by an even number of samples; choose "
                f"{self.samples} -> {self.samples + 1}."
            )
        multiple = self.network.multiple
        if self.patch_px % multiple:
            better = -(-self.patch_px // multiple) * multiple
            raise ValueError(
                f"Patch {self.patch_px} is not a multiple of {multiple}, which the direct network "
                f"needs; choose {self.patch_px} -> {better}."
            )
        return self
