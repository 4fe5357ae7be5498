"""From what a user types to the configs of a job."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_hdn import api
from napari_hdn.api import NoiseConfig, TrainingConfig
from napari_hdn.core.errors import ConfigurationError, ModelFolderError

if TYPE_CHECKING:
    from napari_hdn.api import HDN, FileStack
    from napari_hdn.core.config import Output

Rule = Literal["prior", "posterior"]


def noise_config(text: str) -> NoiseConfig:
    """``auto``, ``sigma=25`` or the path of a noise model.

    Raises
    ------
    ConfigurationError
        If it is none of these.
    """
    if text == "auto":
        return NoiseConfig()
    key, equals, value = text.partition("=")
    if equals and key.strip().lower() == "sigma":
        try:
            sigma = float(value)
        except ValueError:
            raise ConfigurationError(
                f"sigma={value} is not a number; give the noise in camera counts, such as sigma=25."
            ) from None
        return NoiseConfig(source="gaussian", sigma=sigma)
    path = Path(text)
    with suppress(RuntimeError):  # ~nobody, which then is no file
        path = path.expanduser()
    if path.is_dir():
        path = path / "noise_model.json"
    if not path.is_file():
        raise ConfigurationError(
            f"--noise takes auto, sigma=NUMBER (in counts) or a noise model (.json, .npz); there is no "
            f"file {text}."
        )
    return NoiseConfig(source="file", path=path.resolve())


def levels(text: str | None) -> tuple[int, ...] | None:
    """``1,2`` as numbers of levels; ``none`` for no level; None for what the model says.

    Raises
    ------
    ConfigurationError
        If these are not numbers.
    """
    if text is None:
        return None
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise ConfigurationError(
            f"--deactivate takes level numbers with commas, such as 1,2; {text!r} is not."
        ) from None


def outputs(text: str) -> tuple[Output, ...]:
    """What to make of an image, such as ``mean,std``.

    Raises
    ------
    ConfigurationError
        If something of it is not known.
    """
    known = {str(output): output for output in api.OUTPUTS}
    chosen = [part.strip().lower() for part in text.split(",") if part.strip()]
    for output in chosen:
        if output not in known:
            raise ConfigurationError(
                f"--outputs knows {', '.join(known)}; {output!r} is none of them."
            )
    return tuple(known[output] for output in chosen)


def tile_px(tile: int | None) -> int | None:
    """Side of tiles: as typed, or as set for all jobs."""
    return api.settings_in_force().tile_px if tile is None else tile


def numbers(option: str, text: str, kind: Callable[[str], Any]) -> tuple[Any, ...]:
    """Numbers with commas between them.

    Raises
    ------
    ConfigurationError
        If these are none.
    """
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(
            f"{option} takes numbers with commas between them; {text!r} is not."
        ) from None


def pair(option: str, text: str) -> tuple[int, int]:
    """Two whole numbers with a comma between them.

    Raises
    ------
    ConfigurationError
        If it is something else.
    """
    found = numbers(option, text, int)
    if len(found) != 2:
        raise ConfigurationError(f"{option} takes two numbers, such as 1,2; {text!r} is not.")
    return found[0], found[1]


def new_training(
    preset: str | None, config: Path | None, changes: dict[str, Any]
) -> TrainingConfig:
    """The config of a new training: a preset or an earlier run's config, with changes.

    Raises
    ------
    ConfigurationError
        If there is no such preset, or both were given.
    """
    if config is None:
        return api.preset(preset or "fast", **changes)
    if preset is not None:
        raise ConfigurationError("Take the settings from --preset or from --config, not both.")
    # of a variant, which may have learned only in part
    return _changed(earlier_config(config), {"learns": "all", **changes})


def without_levels(
    config: TrainingConfig, deactivate: str | None, rule: Rule | None
) -> TrainingConfig:
    """A new training with these levels off.

    Raises
    ------
    ConfigurationError
        If a level does not exist or has to stay on.
    """
    off = levels(deactivate)
    if off is None:
        if rule is not None:
            raise ConfigurationError(
                "--rule says what a level takes that is off; say with --deactivate which levels."
            )
        return config
    network = api.switched_off(config.network, off, rule)
    return config.model_copy(update={"network": network})


def variant(
    parent: HDN,
    deactivate: str | None,
    rule: Rule | None,
    changes: dict[str, Any],
    *,
    scratch: bool,
    whole: bool,
) -> TrainingConfig:
    """The config of a variant of a model; its own levels stay off unless others are named.

    Raises
    ------
    ConfigurationError
        If a level does not exist or has to stay on.
    """
    off = levels(deactivate)
    if off is None:
        off = parent.config.network.deactivated_levels
    learns: Literal["all"] | None = "all" if whole else None
    return api.variant_config(
        parent, off, deactivation=rule, learns=learns, scratch=scratch, **changes
    )


def continued_training(folder: Path, changes: dict[str, Any]) -> TrainingConfig:
    """The config with which the training in a folder goes on; its own but for ``changes``.

    Raises
    ------
    ModelFolderError
        If the model is incomplete, damaged or of a newer version.
    """
    return _changed(api.load_model(folder).config, changes)


def _changed(config: TrainingConfig, changes: dict[str, Any]) -> TrainingConfig:
    base = config.model_dump()
    if changes.get("minutes") is not None or changes.get("steps") is not None:
        base |= {"minutes": None, "steps": None}
    return TrainingConfig.model_validate(base | changes)


def channel_number(channel: int | str | None, stacks: Sequence[FileStack]) -> int | None:
    """The index of a channel that was given by its index or name, for images opened with it.

    None for none.

    Raises
    ------
    ConfigurationError
        If it is not the same in all images.
    """
    if not isinstance(channel, str):
        return channel
    numbers = {s.channel: s.name for s in stacks if s.channel is not None}
    if len(numbers) != 1:
        where = ", ".join(f"{number} in {name}" for number, name in numbers.items())
        raise ConfigurationError(
            f"The channel {channel} has not the same number in all images ({where}); name images that "
            "agree, or give the number."
        )
    return next(iter(numbers))


def earlier_config(path: Path) -> TrainingConfig:
    """The training config in a model folder or a config.json.

    Raises
    ------
    ModelFolderError
        If there is none.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return TrainingConfig.model_validate(data.get("training", data))
    except OSError as error:
        raise ModelFolderError(f"There is no model in {path}: {error.strerror}.") from error
    except (ValueError, AttributeError) as error:
        raise ModelFolderError(
            f"{file} is no config of a training, is damaged, or is of a newer napari-hdn; choose the "
            "config.json of a model."
        ) from error


def model_folder(given: Path) -> Path:
    """A model's folder by its path, or by its name among the saved models.

    Raises
    ------
    ModelFolderError
        If there is no such model.
    """
    try:
        given = given.expanduser()
    except RuntimeError as error:  # ~nobody
        raise ModelFolderError(f"There is no model folder {given}. {error}") from error
    # a folder of images may have the name of the model that was trained on it
    if (given / "config.json").is_file():
        return given
    if (found := api.find_model(given)) is not None:
        return found
    named = api.models_folder() / given
    if given.exists():
        return given
    if named.is_dir():
        return named
    known = ", ".join(folder.name for folder in api.list_models()[:8]) or "none yet"
    raise ModelFolderError(f"There is no model folder {given}; saved models are: {known}.")
