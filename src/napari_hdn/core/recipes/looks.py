"""What the last look at a model's levels came to: the scores that lead to levels being switched off.

It is kept in the model's folder as ``levels.json``, so that whoever restores with the model later, in a
dock or in the terminal, has it in the recipe.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from napari_hdn.core.config import Frozen
from napari_hdn.core.errors import RecipeError

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.levels.inspection import Inspection

LOOK = "levels.json"
MOST_BYTES = 10**6

Level = Annotated[int, Field(ge=1, le=8)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class LevelRecord(Frozen):
    """The scores of one level, see `napari_hdn.core.levels.scores.LevelScores`; None if unknown."""

    level: Level
    share: Number | None
    kl: Number | None
    s1: Number | None
    s2: Number | None
    s3: Number | None
    verdict: Annotated[str, Field(max_length=40)]


class LevelLook(Frozen):
    """One look: at which image, with which weights, what was advised and why."""

    image: Annotated[str, Field(max_length=4000)]
    shape: tuple[int, int]
    looked: Annotated[str, Field(max_length=40)]
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    advised_off: Annotated[tuple[Level, ...], Field(max_length=8)]
    confidence: Literal["high", "medium", "low"]
    in_words: Annotated[str, Field(max_length=2000)]
    reasons: Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], Field(max_length=50)]
    levels: Annotated[tuple[LevelRecord, ...], Field(max_length=8)]


def look_of(model: HDN, inspection: Inspection, image: str) -> LevelLook:
    """A look as it is recorded."""
    from napari_hdn.core.identity import fingerprint

    advice = inspection.advice
    return LevelLook(
        image=image,
        shape=(inspection.counts.shape[0], inspection.counts.shape[1]),
        looked=datetime.now(UTC).isoformat(timespec="seconds"),
        weights_sha256=fingerprint(model),
        advised_off=advice.off,
        confidence=advice.confidence,
        in_words=advice.in_words(),
        reasons=advice.reasons,
        levels=tuple(
            LevelRecord(
                level=s.level,
                share=_finite(s.share),
                kl=_finite(s.kl),
                s1=_finite(s.s1),
                s2=_finite(s.s2),
                s3=_finite(s.s3),
                verdict=s.verdict,
            )
            for s in inspection.scores
        ),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def remember(model: HDN, inspection: Inspection, image: str) -> None:
    """Keep a look with its model, and in the model's folder where that can be written to."""
    from napari_hdn.core.checkpoint import text_writer, write_files
    from napari_hdn.core.errors import OutputError

    model.look = look_of(model, inspection, image)
    if model.folder is None or not model.folder.is_dir():
        return
    try:
        write_files(model.folder, {LOOK: text_writer(model.look.model_dump_json(indent=1))})
    except OutputError:  # somebody else's model: the look stays in memory
        return


def recall(folder: Path) -> LevelLook | None:
    """The last look at a saved model; None if there was none, or its record cannot be used."""
    try:
        return read_look(folder)
    except RecipeError:  # nothing depends on it
        return None


def read_look(folder: Path) -> LevelLook:
    """The last look at a saved model.

    Raises
    ------
    RecipeError
        If there was none, or its record is damaged.
    """
    file = folder / LOOK
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError("it is larger than any such file")
        return LevelLook.model_validate_json(content)
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise RecipeError(
            f"{LOOK} of {folder.name}, the last look at its levels, is damaged. Delete it, and look at "
            "the levels again."
        ) from error
