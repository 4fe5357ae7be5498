"""A direct network with what it needs to be used, and which model taught it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_hdn.core.config import Frozen
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.direct.network import DirectNetwork
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.hdn import HDN
from napari_hdn.core.identity import fingerprint


class Marks(Frozen):
    """How near a direct network comes to the mean (or median) of posterior samples; held-out tiles.

    Attributes
    ----------
    loss_db : float
        What it costs against the sampled mean, in dB: 10 log10(1 + D / V), with D the mean squared
        distance from the sampled mean and V the variance of the samples. It is the loss of PSNR against
        the truth if the posterior is right: then V is the error of the mean itself.
    pair_loss_db : float
        The same of the teacher's own quick way, one antithetic pair.
    agreement_db : float
        PSNR against the sampled mean, with its range.
    tiles, samples : int
        How many tiles were looked at, and of how many samples the mean is.
    """

    loss_db: float
    pair_loss_db: float
    agreement_db: float
    tiles: int
    samples: int


class DirectSummary(Frozen):
    """How a direct network came about.

    ``teacher_weights`` is `fingerprint` of the model, whatever it is called; ``marks`` are missing where
    nothing could be held out.
    """

    version: str
    created: str
    teacher: str  # its name then
    teacher_created: str
    teacher_weights: str
    levels: int  # of the teacher
    levels_off: tuple[int, ...]  # all of them, 1 = finest
    steps: int
    seconds: float
    stopped: bool
    device: str
    data: tuple[str, ...]
    megapixels: float
    marks: Marks | None = None


@dataclass
class Direct:
    """A direct network.

    Attributes
    ----------
    config : DirectConfig
    network : DirectNetwork
        In evaluation mode, on the CPU.
    summary : DirectSummary
    folder : Path or None
        Where it lies, if it was saved.
    """

    config: DirectConfig
    network: DirectNetwork
    summary: DirectSummary
    folder: Path | None = field(default=None)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name if self.folder else "unsaved direct network"

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(p.numel() for p in self.network.parameters())


MUCH_DB = 1.0


def in_words(student: Direct) -> tuple[str, bool]:
    """What restores, how near it comes, and whether that is bad."""
    marks = student.summary.marks
    text = f"Restored in one pass by the direct network {student.name}"
    if marks is None:
        return f"{text}, which was never measured. It gives no uncertainty.", True
    text += (
        f": {marks.loss_db:.2f} dB below the {student.config.learns} of {marks.samples} samples when it "
        "was taught. It gives no uncertainty."
    )
    bad = marks.loss_db > MUCH_DB
    return text + (" That is a lot: teach another, longer or on such images." if bad else ""), bad


def check_fits(student: Direct, model: HDN, levels_off: Sequence[int]) -> None:
    """Whether a direct network may stand for a model with these levels off.

    Raises
    ------
    ConfigurationError
        If another model taught it, the model learned on since, or other levels were off.
    """
    made = student.summary
    if made.teacher_weights != fingerprint(model):
        same = made.teacher_created == model.summary.created or made.teacher == model.name
        why = "which has been trained since" if same else f"not by {model.name}"
        raise ConfigurationError(
            f"The direct network {student.name} was taught by {made.teacher} "
            f"({made.teacher_created[:10]}), {why}. Teach a new one by {model.name}."
        )
    if made.levels_off != tuple(levels_off):
        raise ConfigurationError(
            f"The direct network {student.name} was taught with {_spoken(made.levels_off)} off, but "
            f"{_spoken(levels_off)} shall be off here. Choose these levels, or teach a new one."
        )


def _spoken(levels: Sequence[int]) -> str:
    return "no level" if not levels else "level " + ", ".join(map(str, levels))
