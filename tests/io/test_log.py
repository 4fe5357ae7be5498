"""The log file: whole lines, a limited size, and never a reason to stop."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from napari_hdn.io import log
from napari_hdn.io.log import BEGINS, attach_log, last_job, last_lines, log_path, shortened

logger = logging.getLogger("napari_hdn.test")


@pytest.fixture(autouse=True)
def _attached():
    attach_log("test")
    attach_log("test")  # once is enough
    handlers = logging.getLogger("napari_hdn").handlers
    assert sum(isinstance(h, log.LogFile) for h in handlers) == 1


def test_a_line_tells_when_who_and_what():
    logger.info("restoring %s", "Zellen µ.tif")
    (line,) = last_lines(1)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d \d+ INFO napari_hdn.test: restoring Zellen µ.tif",
        line,
    )


def test_a_traceback_is_whole_and_indented():
    try:
        raise KeyError("nothing such")
    except KeyError:
        logger.exception("ended")
    lines = log_path().read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.endswith(": ended"))
    assert lines[begin + 1] == "    Traceback (most recent call last):"
    assert lines[-1] == "    KeyError: 'nothing such'"


def test_no_password_is_written_and_no_endless_line():
    logger.info("--scheduler tcp://anna:secret@node7:8786 s3://key@bucket/a.zarr")
    logger.info("x" * 1_000_000)
    text = log_path().read_text()
    assert "secret" not in text and "anna" not in text and "tcp://***@node7:8786" in text
    assert "s3://***@bucket/a.zarr" in text and len(text) < 50_000
    assert shortened("short") == "short" and "characters" in shortened("y" * 30_000)


def test_files_stay_small_and_few(monkeypatch):
    monkeypatch.setattr(log, "MOST_BYTES", 10_000)
    for i in range(400):
        logger.info("line %d %s", i, "." * 100)
    files = sorted(p.name for p in log_path().parent.glob("napari-hdn.log*"))
    assert files == ["napari-hdn.log", "napari-hdn.log.1", "napari-hdn.log.2"]
    assert all((log_path().parent / name).stat().st_size <= 10_000 for name in files)
    numbers = [int(re.search(r"line (\d+)", line)[1]) for line in last_lines(150)]
    assert numbers == list(range(250, 400))  # over several files, in order


def test_several_programs_write_whole_lines_into_one_file(monkeypatch):
    code = (
        "import logging, sys\n"
        "from napari_hdn.io import log\n"
        "log.MOST_BYTES = 60_000\n"
        "log.attach_log('terminal')\n"
        "for i in range(300):\n"
        "    logging.getLogger('napari_hdn').info('%s-%d-%s-end', sys.argv[1], i, 'z' * 100)\n"
    )
    programs = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [p.wait(timeout=240) for p in programs] == [0, 0]
    lines = [line for line in last_lines(10_000) if "zzz" in line]
    assert all(re.search(r": [ab]-\d+-z{100}-end$", line) for line in lines)
    for name in "ab":  # both were there at the end, in their order
        own = [int(n) for n in re.findall(rf": {name}-(\d+)-", "\n".join(lines))]
        assert own == sorted(own) and own[-1] == 299
    assert len({line.split()[1] for line in lines}) == 2
    assert not list(log_path().parent.glob("*.lock"))


def test_a_file_that_cannot_be_written_stops_nobody(monkeypatch, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_HDN_LOG", str(tmp_path / "file" / "folder"))
    logger.error("lost")
    assert last_lines(5) == [] and last_job() is None
    monkeypatch.setenv("NAPARI_HDN_LOG", str(tmp_path))

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_hdn.io.log.os.write", full)
    logger.error("no room")
    assert capfd.readouterr().err == ""


def test_a_lock_left_behind_by_a_crash_is_removed(monkeypatch):
    import os

    lock = log_path().with_name("napari-hdn.log.lock")
    lock.write_text("")
    os.utime(lock, (1, 1))
    monkeypatch.setattr(log, "MOST_BYTES", 1000)
    for _ in range(20):
        logger.info("." * 100)
    assert not lock.exists() and log_path().stat().st_size <= 1000


def test_the_last_job_is_found():
    assert last_job() is None
    for name in ("train", "restore"):
        logger.info("%s%s", BEGINS, json.dumps({"job": name}))
    logger.info("over")
    assert json.loads(last_job()) == {"job": "restore"}


def test_the_usual_place_is_among_the_users_logs(monkeypatch):
    monkeypatch.delenv("NAPARI_HDN_LOG")
    assert log_path().name == "napari-hdn.log" and "napari-hdn" in str(log_path().parent)
    assert Path.home() in log_path().parents or sys.platform == "win32"
