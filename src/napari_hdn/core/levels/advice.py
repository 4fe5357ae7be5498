"""Which bottom levels to switch off: what that would remove, and what it would cost.

In units of the noise's variance, level k holds A_k of the artefact (its variance in the background,
as far as it is correlated as the raw background is) and S_k of the structures (the rest of its
variance in the whole image). With levels 1 to m off, the A_k above m stay and the S_k up to m are lost;
advised is the m that makes the sum least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from napari_hdn.core.artefacts import Structure
from napari_hdn.core.levels.scores import DIRECTED_DB, EVERYWHERE, LevelScores

AdviceVerdict = Literal["artefact", "nothing", "inseparable"]
Confidence = Literal["high", "medium", "low"]

WORTH_DB = 1.0  # of predicted gain; less is not worth a loss of detail
CLEAR_DB = 3.0  # between the best set and no set
DEAR = 0.5  # share of the fine structures that is no longer cheap
UNLIKE = 0.1  # of a run's variance may be in levels that do not look like the artefact
SAME = 0.75  # S2 from which on all of a level's variance in the dark is taken for the artefact


@dataclass(frozen=True)
class Advice:
    """Which levels a user may want to switch off, and why.

    Attributes
    ----------
    off : tuple of int
        Levels 1..m; empty to switch nothing off.
    verdict : str
        ``artefact`` (switch these off), ``nothing`` (there is no artefact), or ``inseparable`` (if
        there is one, it shares the structures' scale).
    confidence : str
    removed, lost : float
        Share of the artefact that goes with these levels, and of the structures' fine detail.
    gain_db : float
        By how much the squared error would fall, as far as artefact and structures make it.
    reasons : tuple of str
        Sentences.
    already : tuple of int
        Levels that the model was trained without.
    """

    off: tuple[int, ...]
    verdict: AdviceVerdict
    confidence: Confidence
    removed: float
    lost: float
    gain_db: float
    reasons: tuple[str, ...]
    already: tuple[int, ...] = ()

    def in_words(self) -> str:
        """The advice in a sentence; the reasons say why."""
        sure = {"high": "clear", "medium": "fairly clear", "low": "uncertain"}[self.confidence]
        match self.verdict:
            case "artefact":
                return f"Switch {spoken(self.off)} off ({sure})."
            case "nothing":
                more = "more " if self.already else ""
                return f"Switch nothing {more}off ({sure})."
        return (
            "Switch nothing off: if there is an artefact, it is as coarse as the structures or coarser, "
            "and HDN cannot tell them apart."
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(self) | {"in_words": self.in_words()}


def spoken(levels: Sequence[int]) -> str:
    """Levels as a user reads them: level 1, levels 1-2, levels 1 and 3."""
    levels = sorted(levels)
    if not levels:
        return "no level"
    if len(levels) == 1:
        return f"level {levels[0]}"
    if levels == list(range(levels[0], levels[-1] + 1)):
        return f"levels {levels[0]}-{levels[-1]}"
    return f"levels {', '.join(map(str, levels[:-1]))} and {levels[-1]}"


def advise(scores: Sequence[LevelScores], structure: Structure | None) -> Advice:
    """Look for the contiguous run of bottom levels that is best switched off.

    Parameters
    ----------
    scores : sequence of LevelScores
        Level 1 first.
    structure : Structure or None
        Of the raw image's background.
    """
    below_top = scores[:-1]
    if any(s.verdict == "coarse" for s in below_top) and not _is_structured(structure):
        return _inseparable(below_top)
    if structure is not None and structure.verdict != "structured":
        how = "white" if structure.verdict == "white" else "hardly correlated"
        return _nothing(
            "high",
            f"The noise of the raw image is {how}: pixel noise, which restoring removes by itself.",
        )
    artefact = artefact_of(scores)
    detail = np.array([max(s.everywhere - a, 0.0) for s, a in zip(scores, artefact, strict=True)])
    left = np.array([artefact[m:].sum() + detail[:m].sum() for m in range(len(scores))])
    best = int(np.argmin(left))
    gain = 10 * float(np.log10(max(left[0], 1e-12) / max(left[best], 1e-12)))
    already = tuple(s.level for s in scores if s.verdict == "off")
    run = [s for s in scores[:best] if s.verdict != "off"]
    confirming = [s for s in run if s.verdict in ("artefact", "mixed")]
    if not confirming or gain < WORTH_DB:
        return _no_run(scores, structure, already)
    others = [s for s in run if s not in confirming]
    finer = [s for s in others if s.everywhere > UNLIKE * sum(r.everywhere for r in run)]
    if finer:
        return _coarser_than(finer, confirming)
    removed = float(artefact[:best].sum() / max(artefact.sum(), 1e-12))
    off = tuple(range(1, best + 1))
    lost = float(detail[:best].sum() / max(detail[:-1].sum(), 1e-12))
    confidence: Confidence = "low"
    if structure is not None and len(confirming) == len(run):
        confidence = "high" if gain > CLEAR_DB and lost < DEAR else "medium"
    reasons = _each(confirming)
    takes, them = ("it takes", "it") if len(off) == 1 else ("they take", "them")
    reasons.append(
        f"Off, {takes} about {100 * removed:.0f} % of the artefact with {them}, and at least "
        f"{100 * lost:.0f} % of the fine structures."
    )
    if lost >= DEAR and best > 1:
        reasons.append(
            f"That is a high price: look at what is removed, and compare with {spoken(off[:-1])} off."
        )
    if already:
        reasons.append(
            f"The model was trained without {spoken(already)}; {spoken([s.level for s in confirming])} "
            "may hold some of the artefact, too."
        )
    if scores[-1].verdict == "artefact":
        confidence = "low" if confidence == "low" else "medium"
        reasons.append(
            f"Level {scores[-1].level}, the top, looks like it, too, and has to stay on: some will be "
            "left."
        )
    if structure is None:
        reasons.append("No background shows the noise alone; draw a rectangle on some to be surer.")
    return Advice(off, "artefact", confidence, removed, lost, gain, tuple(reasons), already)


def _no_run(
    scores: Sequence[LevelScores], structure: Structure | None, already: tuple[int, ...]
) -> Advice:
    """No run of levels is worth switching off."""
    below_top = scores[:-1]
    if already:
        reasons = [f"The model was trained without {spoken(already)}."]
        holding = [s.level for s in below_top if s.verdict in ("artefact", "mixed", "coarse")]
        reasons.append(
            f"What {spoken(holding)} may hold of the artefact cannot be told from structures."
            if holding
            else "No other level looks like the noise of the raw image."
        )
        confidence: Confidence = "medium" if holding else "high"
        return Advice((), "nothing", confidence, 0.0, 0.0, 0.0, tuple(reasons), already)
    return _inseparable(below_top) if _is_structured(structure) else _unknown()


def artefact_of(scores: Sequence[LevelScores]) -> np.ndarray:
    """(n,) A_k: variance that each level holds of the artefact, in units of the noise's."""
    return np.array([s.dark * _likely(s) for s in scores])


def _is_structured(structure: Structure | None) -> bool:
    return structure is not None and structure.verdict == "structured"


def _each(scores: Sequence[LevelScores]) -> list[str]:
    words = [(s.level, s.in_words()) for s in scores]
    return [f"Level {level}: {text[:1].lower()}{text[1:]}" for level, text in words]


def _coarser_than(finer: Sequence[LevelScores], artefact: Sequence[LevelScores]) -> Advice:
    """Levels below those of the artefact hold something else."""
    reasons = _each([*finer, *artefact])
    those = spoken([s.level for s in finer])
    reasons.append(
        f"What {those} may hold is finer than the artefact and unlike it; switching the levels of the "
        "artefact off would leave it without what it stands on."
    )
    return Advice((), "inseparable", "medium", 0.0, 0.0, 0.0, tuple(reasons))


def _nothing(confidence: Confidence, *reasons: str) -> Advice:
    return Advice((), "nothing", confidence, 0.0, 0.0, 0.0, reasons)


def _unknown() -> Advice:
    return _nothing(
        "low",
        "No level looks like noise, but no background shows the noise alone. Draw a rectangle on "
        "background and look again.",
    )


def _inseparable(scores: Sequence[LevelScores]) -> Advice:
    guilty = [s for s in scores if s.verdict in ("coarse", "artefact", "mixed")]
    reasons = _each(guilty)
    if any(s.verdict == "coarse" for s in guilty):
        reasons.append(
            "If the image has such a texture everywhere, nothing is wrong. If it is an artefact, look "
            "for its cause at the microscope."
        )
    else:
        reasons.append(
            "The noise of the raw image is structured, but the levels that hold it hold as much of "
            "the structures."
        )
    return Advice((), "inseparable", "medium", 0.0, 0.0, 0.0, tuple(reasons))


def _likely(score: LevelScores) -> float:
    """Share of a level's variance in the dark that is the artefact."""
    if score.verdict == "artefact" and score.s1 > EVERYWHERE:
        return 1.0
    if score.s2 is None:  # nothing to compare with: only lines are believed
        return 1.0 if abs(score.s3) > DIRECTED_DB else 0.5
    return float(np.clip(score.s2 / SAME, 0.0, 1.0)) ** 2
