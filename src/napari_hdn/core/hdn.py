"""A trained model: network, noise model, normalisation, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn.core.axes import ImageStack, guess_axes
from napari_hdn.core.config import RestorationConfig, TrainingConfig
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.text import readable
from napari_hdn.core.training.summary import TrainingSummary

if TYPE_CHECKING:
    from napari_hdn.core.restoring.restoration import Restored


@dataclass
class HDN:
    """A trained Hierarchical DivNoising model.

    Attributes
    ----------
    config : TrainingConfig
    network : Ladder
        In evaluation mode, with averaged (EMA) weights, on the CPU.
    noise_model : NoiseModel
    normalisation : Normalisation
    summary : TrainingSummary
    folder : Path or None
        Where the model lies, if it was saved.
    look : LevelLook or None
        What the last look at its levels came to.
    """

    config: TrainingConfig
    network: Ladder
    noise_model: NoiseModel
    normalisation: Normalisation
    summary: TrainingSummary
    folder: Path | None = field(default=None)
    look: LevelLook | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name of the model's folder."""
        return readable(self.folder.name) if self.folder else "unsaved model"

    @property
    def parameters(self) -> int:
        """Number of trained values of the network."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def can_continue(self) -> bool:
        """Whether the folder holds what is needed to train on."""
        return self.folder is not None and (self.folder / "resume.ckpt").is_file()

    def levels_off(self, config: RestorationConfig) -> tuple[int, ...]:
        """The levels that are off in a restoration: those trained without, and those it switches off."""
        trained = self.config.network.deactivated_levels
        return tuple(sorted({*trained, *(config.deactivated_levels or ())}))

    def save(self, folder: Path | str) -> Path:
        """Write the model folder; see `napari_hdn.core.checkpoint.save`.

        Raises
        ------
        OutputError
            If another model lies there, or a file cannot be written.
        """
        from napari_hdn.core.checkpoint import CONFIG, save
        from napari_hdn.core.errors import OutputError

        folder = Path(folder)
        if (folder / CONFIG).exists() and folder != self.folder:
            raise OutputError(f"There is a model in {folder} already; choose another folder.")
        return save(self, folder)

    @classmethod
    def load(cls, folder: Path | str) -> HDN:
        """Read a model folder; see `napari_hdn.core.checkpoint.load`."""
        from napari_hdn.core.checkpoint import load

        return load(Path(folder))

    def restore(self, image: Any, axes: str | None = None, **choices: Any) -> Restored:
        """Restore an image in one go.

        Parameters
        ----------
        image : array-like
            Camera counts, any size and any of the axes S T C Z Y X.
        axes : str, optional
            One letter per axis; guessed if not given.
        **choices
            Fields of `RestorationConfig`, such as ``samples=16, outputs=("mean", "std")``.

        Returns
        -------
        Restored
            ``mean`` and ``std`` (or None) of the input's shape, float32 counts.

        Raises
        ------
        AxesError, ImageError
            If the image cannot be used.
        """
        from napari_hdn.core.restoring.restoration import restore_all

        stack = ImageStack(
            image, axes or guess_axes(tuple(image.shape)), channel=choices.get("channel")
        )
        return restore_all(self, stack, RestorationConfig(**choices))
