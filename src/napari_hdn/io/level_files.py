"""The files that a look at the latent levels makes; their names belong together.

``STEM_hdn-levels-contributions.ome.tif`` has a channel a level, named, and the remainder last: the
channels add up to ``STEM_hdn-levels-mean.ome.tif``. OME has no axis for levels; channels are what
napari and Fiji show by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.naming import free_paths
from napari_hdn.io.ome_tiff import OmeTiffWriter
from napari_hdn.io.restorations import restoration_mark

if TYPE_CHECKING:
    from napari_hdn.core.levels.decomposition import Decomposition

_ENDINGS = {
    "contributions": ".ome.tif",
    "mean": ".ome.tif",
    "samples": ".png",
    "scores": ".json",
    "report": ".txt",
    "recipe": ".json",
}


def level_paths(folder: Path, stem: str) -> dict[str, Path]:
    """Where to write what, by name: contributions, mean, samples, scores, report, recipe.

    Parameters
    ----------
    folder : Path
    stem : str
        What the names begin with; see `FileStack.stem`.

    Returns
    -------
    dict of str to Path
        All with the same number where one of them exists.
    """
    endings = {name: (f"-{name}", ending) for name, ending in _ENDINGS.items()}
    return free_paths(folder, f"{stem}_hdn-levels", endings)


def write_contributions(
    paths: Mapping[str, Path],
    decomposition: Decomposition,
    *,
    model: str = "",
    where: str = "",
    metadata: ImageMetadata = NO_METADATA,
) -> list[Path]:
    """Write what the levels contribute, and the image that it adds up to; float32 counts.

    Parameters
    ----------
    paths : mapping of str to Path
        From `level_paths`.
    decomposition : Decomposition
    model, where : str
        The model, and which part of which image this is; named in the files.
    metadata : ImageMetadata, optional
        Pixel size, time step and channel names.

    Returns
    -------
    list of Path

    Raises
    ------
    OutputError
        If a file cannot be written; then nothing of it is left behind.
    """
    n, height, width = decomposition.contributions.shape
    names = [f"level {k}" for k in range(1, n + 1)] + ["remainder"]
    mark = restoration_mark(model, decomposition.untrained)
    told = f"{mark}; {where}" if where else mark
    meaning = (
        f"channel k is what latent level k contributes (1 = finest, {n} = coarsest), channel {n + 1} "
        "what remains without the image; together they add up to the restored image; counts"
    )
    contributions = OmeTiffWriter(
        paths["contributions"],
        (n + 1, height, width),
        "CYX",
        "float32",
        metadata=metadata.with_channels(names),
        description=f"{told}; {meaning}",
        rescue=False,
    )
    with contributions as file:
        for k, plane in enumerate([*decomposition.contributions, decomposition.remainder]):
            file.write((k,), plane)
    mean = OmeTiffWriter(
        paths["mean"],
        (height, width),
        "YX",
        "float32",
        metadata=metadata,
        description=f"{told}; all latents at their means; counts",
        rescue=False,
    )
    with mean as file:
        file.write((), decomposition.image)
    return [paths["contributions"], paths["mean"]]
