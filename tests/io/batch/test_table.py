import csv
import errno
import os
import time
from dataclasses import replace

import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.batch import table as module
from napari_hdn.io.batch.rows import COLUMNS, Row
from napari_hdn.io.batch.table import BatchTable, known_rows, read_rows

DONE = Row(
    "day 1/µ, cells.tif",
    "done",
    'said "hello", twice',
    done=3,
    failed=0,
    planes=3,
    files=("day 1/µ, cells_hdn-mean.ome.tif", "day 1/µ, cells_hdn-std.ome.tif"),
    clipped=17,
    seconds=1.25,
    model="fast",
    levels_off="1, 2",
    when="2026-11-23T20:00:00.000+01:00",
    size=4096,
    modified="2026-11-23T19:00:00.123456789Z",
    source="../raw",
    asked="r0123456789abcdef",
)
NOT_YET = replace(DONE, image="b.tif", status="not yet", files=(), when="", seconds=None)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_table_is_what_spreadsheets_and_scripts_read(tmp_path):
    out = tmp_path / "out"
    with BatchTable(out) as table:
        table.expect([DONE, NOT_YET])
        table.put(DONE)
        assert names(out) == [".hdn-batch.csv.journal", "hdn-batch.csv"]
    assert names(out) == ["hdn-batch.csv"]
    assert table.path.read_bytes().startswith(b"\xef\xbb\xbfimage,status,reason,planes done,")
    with table.path.open(encoding="utf-8-sig", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["image"] == "day 1/µ, cells.tif" and first["planes done"] == "3"
    assert first["files"] == " | ".join(DONE.files)
    assert second["status"] == "not yet" and second["seconds"] == ""
    assert read_rows(table.path) == [DONE, NOT_YET]


def test_nothing_is_left_where_nothing_came_of_it(tmp_path):
    with BatchTable(tmp_path / "out") as table:
        table.expect([NOT_YET])
    assert names(tmp_path) == []


def test_rows_of_other_batches_stay(tmp_path):
    other = replace(DONE, asked="rffff")
    for row in (DONE, other, replace(DONE, status="failed")):
        with BatchTable(tmp_path) as table:
            table.put(row)
    assert read_rows(tmp_path / "hdn-batch.csv") == [replace(DONE, status="failed"), other]


@pytest.mark.parametrize(
    "content",
    [
        "name,mitosis\na,3\n",
        "",
        "\xff\xd8 no text\0",
        ",".join(COLUMNS.values()) + "\na.tif,done\n",
        ",".join(COLUMNS.values()) + "\na.tif,perhaps" + 17 * "," + "\n",
    ],
)
def test_a_foreign_or_damaged_file_of_that_name_is_left_alone(tmp_path, content):
    (tmp_path / "hdn-batch.csv").write_text(content, encoding="latin-1")
    for status in ("failed", "done"):
        with BatchTable(tmp_path) as table:
            table.put(replace(DONE, status=status))
    assert (tmp_path / "hdn-batch.csv").read_text(encoding="latin-1") == content
    assert names(tmp_path) == ["hdn-batch-2.csv", "hdn-batch.csv"]
    assert known_rows(tmp_path) == {DONE.key: DONE}


def test_what_a_killed_program_had_done_is_known(tmp_path, monkeypatch):
    killed = BatchTable(tmp_path).__enter__()
    killed.expect([DONE, NOT_YET])
    killed.save()
    monkeypatch.setattr(killed, "save", lambda: None)  # it was too early to rewrite the table
    killed.put(replace(NOT_YET, status="failed", when="2027"))
    killed._journal.write(b'{"image": "c.tif", "sta')  # and here the power went
    killed._journal.close()  # which lets go of the lock
    assert [r.status for r in read_rows(tmp_path / "hdn-batch.csv")] == ["done", "not yet"]
    assert {r.image: r.status for r in known_rows(tmp_path).values()} == {
        DONE.image: "done",
        "b.tif": "failed",
    }
    with BatchTable(tmp_path):
        pass
    assert names(tmp_path) == ["hdn-batch.csv"]
    assert [r.status for r in read_rows(tmp_path / "hdn-batch.csv")] == ["done", "failed"]


def test_two_batches_at_a_time_have_two_tables(tmp_path):
    other = replace(DONE, image="other.tif")
    with BatchTable(tmp_path) as first, BatchTable(tmp_path) as second:
        first.put(DONE)
        second.put(other)
        first.put(NOT_YET)
    assert [first.path.name, second.path.name] == ["hdn-batch.csv", "hdn-batch-2.csv"]
    assert read_rows(first.path) == [DONE, NOT_YET] and read_rows(second.path) == [other]
    assert set(known_rows(tmp_path)) == {DONE.key, NOT_YET.key, other.key}


def test_saved_by_a_spreadsheet_with_semicolons(tmp_path):
    with BatchTable(tmp_path) as table:
        table.put(DONE)
    with table.path.open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.reader(file))
    cells[1][cells[0].index("seconds")] = "1,25"
    with table.path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(cells)
    assert read_rows(table.path) == [replace(DONE, seconds=None)]


def test_names_that_are_no_text(tmp_path):
    row = replace(DONE, image=os.fsdecode(b"caf\xe9\n.tif"))
    with BatchTable(tmp_path) as table:
        table.put(row)
    assert read_rows(table.path) == [row]


def test_a_full_disk_keeps_the_table_that_was_there(tmp_path, monkeypatch):
    with BatchTable(tmp_path) as table:
        table.put(DONE)
    before = table.path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match="the disk is full; make room"),
        BatchTable(tmp_path) as table,
    ):
        table.put(NOT_YET)
    assert table.path.read_bytes() == before
    assert names(tmp_path) == [".hdn-batch.csv.journal", "hdn-batch.csv"]
    assert NOT_YET.key in known_rows(tmp_path)  # all the same


def test_a_full_disk_is_told_once(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError) as caught, BatchTable(tmp_path) as table:
        table.put(DONE)
        table.save()
    assert not hasattr(caught.value, "__notes__")


def test_a_table_that_is_open_in_another_program_is_written_beside(tmp_path, monkeypatch):
    with BatchTable(tmp_path) as table:
        table.put(DONE)
    replace_file = os.replace

    def held(source, target):
        if target.name == "hdn-batch.csv":
            raise PermissionError(13, "in use")
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", held)
    with BatchTable(tmp_path) as table:
        table.put(NOT_YET)
    assert table.path.name == "hdn-batch-2.csv"
    assert read_rows(table.path) == [DONE, NOT_YET]
    assert read_rows(tmp_path / "hdn-batch.csv") == [DONE]
    assert names(tmp_path) == ["hdn-batch-2.csv", "hdn-batch.csv"]


def test_rewriting_a_long_table_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now, spent = [0.0], [0.0]

    def slowly(path, text):
        now[0] += 1e-6 * len(text)
        spent[0] += 1e-6 * len(text)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_write_whole", slowly)
    with BatchTable(tmp_path) as table:
        for number in range(3000):
            now[0] += 0.05  # for the image
            table.put(replace(DONE, image=f"{number}.tif"))
    assert 0.01 < spent[0] / now[0] < 0.06
