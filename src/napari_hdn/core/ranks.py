"""Which of the processes of one training this is, and who began them. Loads no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from napari_hdn.core.errors import ConfigurationError

Beginner = Literal["napari-hdn", "torchrun", "slurm"]

OURS = "NAPARI_HDN_PROCESSES"  # of this machine; in the environment of those that we begin


@dataclass(frozen=True)
class Rank:
    """One process among those that train together; ``number`` 0 leads.

    The leading process alone writes and speaks. Attributes with ``local`` are about its machine.
    """

    number: int = 0
    of: int = 1
    local: int = 0
    local_of: int = 1
    begun_by: Beginner = "napari-hdn"

    @property
    def leads(self) -> bool:
        """Whether it writes and speaks."""
        return self.number == 0

    @property
    def nodes(self) -> int:
        """How many machines there are."""
        return self.of // self.local_of

    def share(self, count: int) -> slice:
        """Which of ``count`` things are this process's, where they can be shared equally."""
        each = count // self.of
        return slice(self.number * each, (self.number + 1) * each)

    def __str__(self) -> str:
        return f"process {self.number + 1} of {self.of}"


ALONE = Rank()


def rank_here(
    devices: int | None = None,
    nodes: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Rank | None:
    """Rank of this process; None where the processes that were asked for are still to be begun.

    Parameters
    ----------
    devices, nodes : int, optional
        What the user asked for: processes on each machine, and machines.
    environ : mapping
        Where torchrun, SLURM's srun and we ourselves tell each process its rank.

    Raises
    ------
    ConfigurationError
        If the environment says something else than the user.
    """
    for name, value in (("--devices", devices), ("--num-nodes", nodes)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{name} takes a number from 1, not {value}.")
    if OURS in environ:
        local, local_of = int(environ["LOCAL_RANK"]), int(environ[OURS])
        first = int(environ["NODE_RANK"]) * local_of
        return Rank(first + local, int(environ["WORLD_SIZE"]), local, local_of)
    if "TORCHELASTIC_RUN_ID" in environ:
        rank = _torchrun(environ)
    elif int(environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:  # an srun, not the job's own script
        rank = _slurm(environ)
    else:
        return ALONE if (devices or 1) * (nodes or 1) == 1 else None
    for name, asked, found in (
        ("--devices", devices, rank.local_of),
        ("--num-nodes", nodes, rank.nodes),
    ):
        if asked not in (None, found):
            raise ConfigurationError(
                f"You asked for {name} {asked}, but {rank.begun_by} began {rank.of} processes, "
                f"{rank.local_of} on each of {rank.nodes} machine(s). Leave out {name}: "
                f"{rank.begun_by} decides."
            )
    return rank


def _torchrun(environ: Mapping[str, str]) -> Rank:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    number, of, local, local_of = (int(environ[name]) for name in names)
    if of % local_of:
        raise ConfigurationError(
            f"torchrun began {of} processes, {local_of} of them on this machine; give every machine "
            "the same --nproc-per-node."
        )
    return Rank(number, of, local, local_of, "torchrun")


def _slurm(environ: Mapping[str, str]) -> Rank:
    of = int(environ["SLURM_STEP_NUM_TASKS"])
    per_node = environ.get("SLURM_NTASKS_PER_NODE")
    nodes = int(environ.get("SLURM_STEP_NUM_NODES", "1"))
    if per_node is None or int(per_node) * nodes != of:
        raise ConfigurationError(
            f"SLURM began {of} processes on {nodes} machine(s), but not equally many on each, or it "
            "was not told so; ask for them as --ntasks-per-node=NUMBER instead of --ntasks."
        )
    number, local = int(environ["SLURM_PROCID"]), int(environ["SLURM_LOCALID"])
    return Rank(number, of, local, int(per_node), "slurm")
