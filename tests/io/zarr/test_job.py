import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.zarr import job as jobs
from napari_hdn.io.zarr.job import other_jobs


@pytest.fixture
def take():
    """`take_job`, and everything is let go of behind the test."""
    taken = []

    def take(*args):
        taken.append(jobs.take_job(*args))
        return taken[-1]

    yield take
    for job in taken:
        job.leave()


def test_the_very_same_job_finds_what_it_left(take, tmp_path: Path):
    first = take(tmp_path, "cells_hdn", {"image": "cells", "seed": 1})
    assert not first.resumed and first.folder.name.startswith(".cells_hdn-")
    first.note((0, 3), clipped={"mean": 2})
    first.leave()
    other = take(tmp_path, "cells_hdn", {"image": "cells", "seed": 2})
    assert other.folder != first.folder and not other.done
    again = take(tmp_path, "cells_hdn", {"seed": 1, "image": "cells"})
    assert again.resumed and again.done == {(0, 3): {"clipped": {"mean": 2}}}
    again.note((1, 0))
    assert set(again.done) == {(0, 3), (1, 0)}


def test_two_at_once_get_two_folders(take, tmp_path: Path):
    one = take(tmp_path, "a", {"x": 1})
    two = take(tmp_path, "a", {"x": 1})
    assert two.folder.name == f"{one.folder.name.removesuffix('.part')}-2.part"
    one.remove()
    assert sorted(tmp_path.iterdir()) == [two.folder]
    assert take(tmp_path, "a", {"x": 1}).folder == one.folder


def test_a_line_that_was_not_finished_does_not_count(take, tmp_path: Path):
    job = take(tmp_path, "a", {})
    job.note((0,))
    with (job.folder / "done.jsonl").open("ab") as file:
        file.write(b'\n{"plane": [1')
    job.leave()
    again = take(tmp_path, "a", {})
    assert set(again.done) == {(0,)}
    again.note((2,))
    again.leave()
    assert set(take(tmp_path, "a", {}).done) == {(0,), (2,)}


def test_the_lock_dies_with_its_process(take, tmp_path: Path):
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from napari_hdn.io.zarr.job import take_job
        job = take_job(Path({str(tmp_path)!r}), "a", {{}})
        job.note((4,))
        print(job.folder.name, flush=True)
        input()
        """
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        held = other.stdout.readline().strip()
        assert other_jobs(tmp_path, "a", tmp_path) == []  # somebody works on it
        mine = take(tmp_path, "a", {})
        assert mine.folder.name != held and not mine.done
        mine.remove()
        other.kill()
    assert other_jobs(tmp_path, "a", tmp_path) == [(tmp_path / held, 1)]
    assert take(tmp_path, "a", {}).done == {(4,): {}}


def test_where_nothing_can_be_locked_only_a_new_folder_is_taken(take, tmp_path: Path, monkeypatch):
    def unknown(path):
        raise jobs.NoLocksError(95, "Operation not supported")

    monkeypatch.setattr(jobs, "lock", unknown)
    first = take(tmp_path, "a", {})
    first.note((0,))
    first.leave()
    assert not take(tmp_path, "a", {}).done


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write")
def test_no_permission(take, tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied; choose a folder"):
        take(tmp_path, "a", {})
    tmp_path.chmod(0o700)
