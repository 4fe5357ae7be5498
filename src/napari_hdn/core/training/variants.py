"""Variants of a trained model: the same network trained on with other levels off.

HDN3-4 is a network of 4 levels whose levels 1 and 2 are off (Prakash et al. 2022). All variants of a
model are one family: they keep its noise model and its normalisation, so that their losses compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig, TrainingConfig
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.training.summary import Origin

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN

WARM_SHARE = 4  # a warm start takes a quarter of the steps that the weights took
FEWEST_STEPS = 100
MAY_DIFFER = {"deactivated_levels", "deactivation", "dropout"}
LONGEST_NAME = 120
_SUFFIX = re.compile(r" (HDN\d+-\d+|without \d+(,\d+)*)(-\d+)?$")


def variant_config(
    model: HDN,
    off: Iterable[int],
    *,
    deactivation: Literal["prior", "posterior"] | None = None,
    learns: Literal["all", "below"] | None = None,
    scratch: bool = False,
    minutes: float | None = None,
    steps: int | None = None,
    **changes: Any,
) -> TrainingConfig:
    """The config of a variant, for ``train(..., start=model)``.

    Parameters
    ----------
    model : HDN
        What the variant is made of; all that is not named here stays as it was trained.
    off : iterable of int
        All levels that shall be off, 1 = finest; those of ``model`` are not added.
    deactivation : str, optional
        What a level that is off takes, see `NetworkConfig`; by default as in ``model``.
    learns : {'below', 'all'}, optional
        ``below``, the default of a warm start: what the levels that are on hold stays, so that the
        artefact cannot move up into them, and only what makes an image of it learns. Measured on
        stripes, levels 1-2 off: not retrained 27.2 dB, below 27.5, all 25.1
        (``benchmarks/levels.py``). From scratch, and where a level is on again that the model was
        trained without, all has to learn.
    scratch : bool
        Whether the variant shall begin with random weights.
    minutes, steps
        How long to train; by default a quarter of the steps that the model took, but at least 100,
        and from scratch as many as it took.
    **changes
        Other fields of `TrainingConfig`, such as ``device``.

    Raises
    ------
    ConfigurationError
        If levels cannot be switched off.
    """
    old = model.config
    if minutes is None and steps is None:
        took = model.summary.steps_in_all
        steps = took if scratch else max(FEWEST_STEPS, took // WARM_SHARE)
        steps = max(1, steps)
    network = switched_off(old.network, off, deactivation)
    # the noise model is taken as it came out of the parent's bootstrap
    noise = old.noise.model_copy(update={"bootstrap": False})
    on_again = set(old.network.deactivated_levels) - set(network.deactivated_levels)
    if learns == "below" and on_again and not scratch:
        raise ConfigurationError(
            f"{_level_names(on_again)} of {model.name} never learned from the images: to switch it on "
            "again the whole network has to learn."
        )
    alone = bool(network.deactivated_levels) and not (scratch or on_again)
    own: dict[str, Any] = {"network": network, "noise": noise, "minutes": minutes, "steps": steps}
    own["learns"] = (learns or "below") if alone else "all"
    return TrainingConfig.model_validate({**old.model_dump(), **own, **changes})


def _level_names(levels: Iterable[int]) -> str:
    return "Level " + ", ".join(map(str, sorted(levels)))


def switched_off(
    network: NetworkConfig,
    off: Iterable[int],
    deactivation: Literal["prior", "posterior"] | None = None,
) -> NetworkConfig:
    """A network with these levels off and all others on.

    Raises
    ------
    ConfigurationError
        If a level does not exist or has to stay on.
    """
    chosen = tuple(sorted(set(off)))
    if chosen and network.levels == 1:
        raise ConfigurationError(
            "This network has one level only, which has to stay on; to switch a level off, train "
            "a network with more levels."
        )
    try:
        return NetworkConfig.model_validate(
            {
                **network.model_dump(),
                "deactivated_levels": chosen,
                "deactivation": deactivation or network.deactivation,
            }
        )
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(message) from error


def check_fits(
    parent: HDN, config: TrainingConfig, images: Sequence[ImageStack], scratch: bool
) -> list[str]:
    """Whether a variant with this config and these images can be made; what to know about it.

    Raises
    ------
    ConfigurationError
        If the networks differ in more than the levels that are off, or the channels differ.
    """
    old, new = parent.config.network, config.network
    ours, theirs = old.model_dump(exclude=MAY_DIFFER), new.model_dump(exclude=MAY_DIFFER)
    different = [name for name in ours if ours[name] != theirs[name]]
    if different:
        name, *_ = different
        raise ConfigurationError(
            f"A variant has the network of its model but for the levels that are off: "
            f"{parent.name} has {name.replace('_', ' ')} {ours[name]}, the settings ask for "
            f"{theirs[name]}. Take the model's settings, or train a new model."
        )
    trained = parent.config.channel
    for stack in images:
        channel = stack.of_channel(config.channel).channel
        if trained is not None and channel not in (None, trained):
            raise ConfigurationError(
                f"{parent.name} was trained on channel {trained}, and its noise model is of that "
                f"channel, not of channel {channel} of {stack.name}; take channel {trained}, or train "
                "a new model."
            )
    on_again = sorted(set(old.deactivated_levels) - set(new.deactivated_levels))
    if not on_again or scratch:
        return []
    return [
        f"Level {', '.join(map(str, on_again))} was off in {parent.name} and is on again: it begins "
        "without having learned from the images. A variant of a model in which it was on gets "
        "further in the same time."
    ]


def origin_of(parent: HDN, *, scratch: bool) -> Origin:
    """What a variant records of the model that it is made of."""
    from napari_hdn.core.identity import fingerprint  # it loads torch

    sha256 = fingerprint(parent)
    look = parent.look
    return Origin(
        base=_family_name(parent),
        parent=parent.name,
        parent_created=parent.summary.created,
        begun="scratch" if scratch else "warm",
        steps_before=0 if scratch else parent.summary.steps_in_all,
        parent_path="" if parent.folder is None else str(parent.folder.absolute()),
        parent_sha256=sha256,
        look=look if look is not None and look.weights_sha256 == sha256 else None,
    )


def _family_name(model: HDN) -> str:
    origin = model.summary.origin
    return origin.base if origin else base_name(model.name)


def suggested_name(model: HDN, off: Iterable[int]) -> str:
    """What to call a variant of a model, whatever variant that is itself; see `variant_name`."""
    return variant_name(_family_name(model), model.config.network.levels, off)


def base_name(name: str) -> str:
    """A model's name without what `variant_name` put behind it."""
    return _SUFFIX.sub("", name)


def variant_name(base: str, levels: int, off: Iterable[int]) -> str:
    """What to call a variant: "cells HDN3-4" with levels 1 and 2 of 4 off, "cells without 2,3".

    Parameters
    ----------
    base : str
        Name of the first model of the family.
    levels : int
        Of the network.
    off : iterable of int
        Levels that are off; none gives the base's own name.
    """
    chosen = sorted(set(off))
    if not chosen:
        return base
    if chosen == list(range(1, len(chosen) + 1)):
        suffix = f" HDN{len(chosen) + 1}-{levels}"
    else:
        suffix = f" without {','.join(map(str, chosen))}"
    return base[: LONGEST_NAME - len(suffix)] + suffix
