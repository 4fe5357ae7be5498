"""The table ``hdn-batch.csv`` beside results: always whole, kept over runs, nobody's but ours.

A row that is put goes to a hidden journal beside the table at once, so that not even a killed program
forgets it, and to the table itself as often as that costs little: rewriting 10,000 rows after every
image would cost more than the images. The journal is locked while a batch runs; a batch that finds
it locked, or another file in the table's place, takes the next free name.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from napari_hdn.core.errors import OutputError
from napari_hdn.io.batch.rows import Row
from napari_hdn.io.lock import NoLocksError, lock
from napari_hdn.io.tables import csv_text

NAME = "hdn-batch"
Key = tuple[str, str, str]
_SHARE = 0.05  # of the time may go into rewriting the table
_BOM = "\ufeff"  # without it Excel takes µ and ü for something else
_HEADER = Row.header()


class Foreign(Exception):
    """A file that is no table of ours, or a damaged one."""


def read_rows(path: Path) -> list[Row]:
    """The rows of a table.

    Raises
    ------
    Foreign
        If it cannot be read, is something else, or is damaged.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline()
            file.seek(0)
            # spreadsheets in half of Europe save with semicolons
            cells = list(csv.reader(file, delimiter=";" if ";" in first else ",", strict=True))
    except (OSError, csv.Error) as error:
        raise Foreign(str(error)) from error
    if not cells or cells[0] != _HEADER:
        raise Foreign("it has other columns")
    try:
        return [Row.of_cells(dict(zip(_HEADER, line, strict=True))) for line in cells[1:]]
    except ValueError as error:
        raise Foreign(str(error)) from error


def known_rows(folder: Path) -> dict[Key, Row]:
    """What all tables of a folder and their journals say, the newest row of each image and wish."""
    known: dict[Key, Row] = {}
    with contextlib.suppress(OSError):  # there is no such folder yet
        places = [*folder.glob(f"{NAME}*.csv"), *folder.glob(f".{NAME}*.csv.journal")]
        for path in sorted(places):
            rows: Iterable[Row] = ()
            with contextlib.suppress(Foreign):
                rows = _journal_rows(path) if path.suffix == ".journal" else read_rows(path)
            for row in rows:
                before = known.get(row.key)
                if before is None or before.when <= row.when:
                    known[row.key] = row
    return known


class BatchTable:
    """The table of a folder, ours alone while the context lasts.

    Parameters
    ----------
    folder : Path
        Where results go; made where it is missing, and removed again if nothing comes.

    Attributes
    ----------
    path : Path
        Of the table; it need not exist before a row is put.
    rows : dict
        By `Row.key`.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[Key, Row] = {}
        self._lines: dict[Key, str] = {}
        self._changed = False
        self._next_save = 0.0

    def __enter__(self) -> Self:
        self._made_folder = not self.folder.exists()
        with self._told():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path, self._journal, rows = self._claim()
            left = _journal_rows(_journal_path(self.path))  # of a batch that was killed
        for row in (*rows, *left):
            self._set(row)
        self._changed = bool(left)
        return self

    def expect(self, rows: Iterable[Row]) -> None:
        """Take in rows that nothing has come of yet; they are written with the next that is put."""
        for row in rows:
            self._set(row)

    def put(self, row: Row) -> None:
        """Take in what came of an image.

        Raises
        ------
        OutputError
            If there is no room for it on the disk; the table that was there before stays.
        """
        self._set(row)
        self._changed = True
        with self._told():
            self._journal.write(json.dumps(asdict(row)).encode() + b"\n")
            self._journal.flush()
        if time.monotonic() >= self._next_save:
            self.save()

    def save(self) -> None:
        """Write the table in place of what it was before; a reader sees the one or the other.

        Raises
        ------
        OutputError
            If there is no room for it on the disk.
        """
        began = time.monotonic()
        with self._told(), contextlib.suppress(PermissionError):  # open in Excel: the next time
            _write_whole(self.path, self._text())
            self._changed = False
        ended = time.monotonic()
        self._next_save = ended + (ended - began) / _SHARE

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._changed:
                self.save()
            if self._changed:  # another program holds it
                self._save_elsewhere()
        except OutputError as other:
            if error is None:
                raise
            if str(other) != str(error):
                error.add_note(str(other))
        finally:
            self._release()

    def _save_elsewhere(self) -> None:
        number = 2
        while (other := self.path.with_name(f"{NAME}-{number}.csv")).exists():
            number += 1
        with self._told():
            _write_whole(other, self._text())
        self.path, self._changed = other, False

    def _release(self) -> None:
        path = Path(self._journal.name)
        with contextlib.suppress(OSError):
            if not self._changed and os.name != "nt":  # while it is still locked
                path.unlink()
        self._journal.close()
        with contextlib.suppress(OSError):
            if not self._changed and os.name == "nt":  # open files cannot be removed
                path.unlink()
        if self._made_folder:
            with contextlib.suppress(OSError):  # not empty
                self.folder.rmdir()

    def _claim(self) -> tuple[Path, IO[bytes], list[Row]]:
        """The first table that is ours, or is not there yet, and that no running batch uses."""
        number = 1
        while True:
            path = self.folder / (f"{NAME}-{number}.csv" if number > 1 else f"{NAME}.csv")
            number += 1
            try:
                rows = read_rows(path) if os.path.lexists(path) else []
            except Foreign:
                continue
            try:
                journal = lock(_journal_path(path))
            except NoLocksError:  # then two batches at a time are the user's to avoid
                journal = _journal_path(path).open("ab", buffering=0)
            if journal is None:
                continue
            with contextlib.suppress(Foreign):  # written meanwhile by the one that held it
                rows = read_rows(path) if path.exists() else []
            return path, journal, rows

    def _set(self, row: Row) -> None:
        self.rows[row.key] = row
        self._lines[row.key] = csv_text(row.cells(), ())

    def _text(self) -> str:
        return _BOM + csv_text(_HEADER, ()) + "".join(self._lines.values())

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                reason = "the disk is full; make room, and begin the batch again to go on"
            elif isinstance(error, PermissionError):
                reason = "permission denied; choose another folder, or ask who owns it"
            raise OutputError(
                f"The table of the batch in {self.folder} could not be written: {reason}."
            ) from error


def _journal_path(table: Path) -> Path:
    return table.with_name(f".{table.name}.journal")


def _journal_rows(path: Path) -> list[Row]:
    """The rows of a journal, whose last line may have been cut off by the end of the program."""
    rows: list[Row] = []
    try:
        lines: Sequence[bytes] = path.read_bytes().splitlines()
    except OSError:
        return rows
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            given = json.loads(line)
            rows.append(Row(**{**given, "files": tuple(given["files"])}))
    return rows


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.tmp")  # ours as the journal is
    try:
        with beside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave an empty file in its place
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
