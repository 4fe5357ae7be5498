"""Which process this is, from what torchrun, SLURM and our own command tell."""

import pytest

from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.ranks import ALONE, OURS, Rank, rank_here

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_PROCID": "6", "SLURM_LOCALID": "2",
}  # fmt: skip


def test_alone_unless_more_is_asked_for():
    assert rank_here(environ={}) == rank_here(1, 1, {}) == ALONE
    assert rank_here(2, None, {}) is None and rank_here(None, 2, {}) is None
    assert ALONE.leads and ALONE.nodes == 1


def test_our_own_processes_count_over_machines():
    environ = {OURS: "3", "LOCAL_RANK": "2", "NODE_RANK": "1", "WORLD_SIZE": "6"}
    rank = rank_here(3, 2, environ)
    assert rank == Rank(5, 6, 2, 3, "napari-hdn")
    assert str(rank) == "process 6 of 6" and rank.nodes == 2 and not rank.leads


def test_torchrun_decides():
    assert rank_here(environ=TORCHRUN) == rank_here(4, 2, TORCHRUN) == Rank(5, 8, 1, 4, "torchrun")
    with pytest.raises(
        ConfigurationError, match=r"--devices 2, but torchrun began 8 .*, 4 on each"
    ):
        rank_here(2, None, TORCHRUN)
    with pytest.raises(ConfigurationError, match="same --nproc-per-node"):
        rank_here(environ={**TORCHRUN, "WORLD_SIZE": "7"})


def test_srun_decides_and_a_job_script_alone_does_not():
    assert rank_here(environ=SRUN) == Rank(6, 8, 2, 4, "slurm")
    script = {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    assert rank_here(environ=script) == ALONE
    assert rank_here(2, None, script) is None
    with pytest.raises(ConfigurationError, match="--num-nodes 3, but slurm"):
        rank_here(None, 3, SRUN)
    uneven = {k: v for k, v in SRUN.items() if k != "SLURM_NTASKS_PER_NODE"}
    with pytest.raises(ConfigurationError, match="--ntasks-per-node"):
        rank_here(environ=uneven)


def test_numbers_below_one_are_refused():
    with pytest.raises(ConfigurationError, match="--num-nodes takes a number from 1, not 0"):
        rank_here(None, 0, {})


def test_shares_make_the_whole():
    things = list(range(12))
    shares = [things[Rank(k, 4, k, 4).share(12)] for k in range(4)]
    assert [thing for share in shares for thing in share] == things
