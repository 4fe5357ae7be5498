"""What travels between the client and its workers: descriptions, and never pixels."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import AxesError, ClusterError, HDNError, ImageFileError
from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoring.regions import Region, RegionFailed, RegionRestored
from napari_hdn.io.images import FileStack, open_images

_MODEL_FILES = ("config.json", "weights.safetensors", "noise_model.json")


@dataclass(frozen=True)
class ModelFiles:
    """A model on its way: by its folder where a worker sees the same there, else by its files.

    Attributes
    ----------
    name : str
    folder : str or None
    digest : str
        SHA-256 of the files.
    contents : mapping of str to bytes
        JSON and safetensors by name; no pickles.
    """

    name: str
    folder: str | None
    digest: str
    contents: Mapping[str, bytes]

    @classmethod
    def of(cls, model: HDN) -> ModelFiles:
        """The files of a model, which need not have been saved."""
        if model.folder is not None:
            contents = _files_in(model.folder)
            return cls(model.name, str(model.folder.absolute()), _digest(contents), contents)
        with tempfile.TemporaryDirectory() as folder:
            contents = _files_in(replace(model).save(Path(folder) / "model"))
        return cls(model.name, None, _digest(contents), contents)

    @property
    def seen_here(self) -> bool:
        """Whether the same model lies in the folder for this process, too."""
        try:
            return self.folder is not None and _digest(_files_in(Path(self.folder))) == self.digest
        except OSError:
            return False

    def light(self) -> ModelFiles:
        """The same without its files, for workers that see the folder."""
        return replace(self, contents={})

    def load(self) -> HDN:
        """The model.

        Raises
        ------
        ClusterError
            If it did not come along, and is not in its folder.
        """
        if self.seen_here:
            return HDN.load(str(self.folder))
        if not self.contents:
            raise ClusterError(
                f"The model {self.name} is not in {self.folder}, or is another model there. Put it "
                "where all machines see it, and give the same command again to go on."
            )
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / self.name
            place.mkdir()
            for name, content in self.contents.items():
                (place / name).write_bytes(content)
            return HDN.load(place)


def _files_in(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in _MODEL_FILES}


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """An image by its file, as every process opens it for itself."""

    path: str
    name: str
    axes: str
    channel: int | None
    series: int | None
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, stack: FileStack) -> Source:
        """Where an image is."""
        shape = tuple(int(n) for n in stack.array.shape)
        path = str(Path(stack.path).absolute())
        return cls(
            path, stack.name, stack.axes, stack.channel, stack.series, shape,
            np.dtype(stack.array.dtype).str,
        )  # fmt: skip

    def open(self) -> FileStack:
        """The image, lazily.

        Raises
        ------
        ImageFileError
            If the file is not there, cannot be read, or holds another image by now.
        """
        try:
            found = open_images([self.path])
        except AxesError:  # which the file does not say
            found = open_images([self.path], axes=self.axes)
        for stack in found:
            here = (
                replace(stack, axes=self.axes, channel=self.channel)
                if _alike(stack, self)
                else None
            )
            if here is not None and Source.of(here) == self:
                return here
        has = ", ".join(f"{s.name} of {' x '.join(map(str, s.array.shape))}" for s in found)
        raise ImageFileError(
            f"{self.name} of {' x '.join(map(str, self.shape))} is no longer in {self.path}, which has "
            f"{has}. Was the file changed?"
        )


def _alike(stack: FileStack, source: Source) -> bool:
    return stack.name == source.name and tuple(stack.array.shape) == source.shape


class Files(Protocol):
    """Where one region is written to."""

    def write(self, first_row: int, planes: Mapping[str, np.ndarray]) -> None:
        """Take the next rows of the plane, by product."""

    def end(self) -> dict[str, int]:
        """See that all is on the disk; how many pixels were clipped, by product."""


class Output(Protocol):
    """Where workers write to: an object that can be sent to them."""

    def begin(self, region: Region) -> Files:
        """What takes in the rows of a region."""


@dataclass(frozen=True)
class Job:
    """All that workers need to know of a restoration.

    Attributes
    ----------
    id : str
        Of this run.
    digest : str
        Of the model, which came before.
    source : Source
    config : RestorationConfig
        Settled.
    output : Output
    threads : int or None
        For one worker's computations; by default those that dask gives it.
    """

    id: str
    digest: str
    source: Source
    config: RestorationConfig
    output: Output
    threads: int | None


@dataclass(frozen=True)
class Done:
    """A region was restored and written, or its plane is damaged."""

    result: RegionRestored | RegionFailed
    clipped: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class Refused:
    """An error that is meant for the user, and that trying again does not change."""

    error: HDNError
    worker: str


@dataclass(frozen=True)
class About:
    """What a worker says of itself before the work.

    Attributes
    ----------
    host : str
    version, torch : str
        Of napari-hdn and PyTorch.
    device : str
        Which one it would take.
    dtype : str
        In which it would compute there.
    free_bytes, limit_bytes : float
        What is free there, and what dask lets it take.
    unseen : tuple of str
        Paths that it does not see.
    has_model : bool
        Whether it sees the model's folder.
    """

    host: str
    version: str
    torch: str
    device: str
    dtype: str
    free_bytes: float
    limit_bytes: float
    unseen: tuple[str, ...]
    has_model: bool
