"""The hidden folder of a job that writes OME-Zarr, in which an interrupted one goes on.

``.STEM_hdn-DIGEST.part`` has the images that are written, ``job.json`` (what job this is),
``done.jsonl`` (a line for each plane that is on the disk, written after it) and a lock that the system
lets go of when the program ends, however it ends. The digest is of everything that the pixels depend
on: the very same job finds its folder, and no other does.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from napari_hdn.core.errors import OutputError
from napari_hdn.io.disk import writing
from napari_hdn.io.lock import NoLocksError, lock

_SUFFIX = ".part"
_JOB, _DONE, _LOCK = "job.json", "done.jsonl", "lock"


@dataclass
class UnfinishedJob:
    """A folder that this process alone may write to, until it is let go of.

    Attributes
    ----------
    folder : Path
    done : dict of plane index to dict
        What was noted of each plane when it was done.
    resumed : bool
        Whether an earlier process began it.
    """

    folder: Path
    done: dict[tuple[int, ...], dict[str, Any]]
    resumed: bool
    _lock: IO[bytes] = field(repr=False)

    def note(self, index: tuple[int, ...], **facts: Any) -> None:
        """Note that a plane is on the disk."""
        self.check()
        line = json.dumps({"plane": [int(i) for i in index], **facts})
        with writing(self.folder), (self.folder / _DONE).open("ab", buffering=0) as file:
            # a line of its own, whatever a process that was killed left of its last one
            file.write(f"\n{line}\n".encode())
        self.done[index] = facts

    def check(self) -> None:
        """See that the folder is still the one that was taken.

        zarr makes folders that it misses: where a network drive is gone, it would write into the
        empty place where it was, and what was done before would be missing in the result.

        Raises
        ------
        OutputError
            If it is gone.
        """
        try:
            found = (self.folder / _LOCK).stat()
            same = os.path.samestat(os.fstat(self._lock.fileno()), found)
        except OSError:
            same = False
        if not same:
            raise OutputError(
                f"{self.folder.parent} could not be written: what was done there before is gone; see "
                "that the disk or network drive is connected, then start again."
            )

    def restart(self) -> None:
        """Forget what was done."""
        with writing(self.folder):
            for inside in self.folder.iterdir():
                if inside.is_dir():
                    shutil.rmtree(inside)
            (self.folder / _DONE).unlink(missing_ok=True)
        self.done.clear()
        self.resumed = False

    def leave(self) -> None:
        """Let go of the folder and keep it for another time."""
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder, as far as that goes, and let go of it."""
        if os.name == "nt":  # which keeps files that are open
            self._lock.close()
        going = self.folder.with_name(f"{self.folder.name}.{uuid.uuid4().hex[:8]}.gone")
        with contextlib.suppress(OSError):  # so that nobody takes it while it goes
            self.folder.rename(going)
        shutil.rmtree(going if going.exists() else self.folder, ignore_errors=True)
        self._lock.close()


def take_job(folder: Path, stem: str, about: Mapping[str, Any]) -> UnfinishedJob:
    """Take the folder of a job: the one that was interrupted, or a new one.

    Parameters
    ----------
    folder : Path
        Of the results.
    stem : str
        What the names of the results begin with.
    about : mapping
        Everything that the results depend on, for JSON.

    Raises
    ------
    OutputError
        If none can be made.
    """
    text = json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    number = 1
    while True:
        last = f"-{number}" if number > 1 else ""
        place = folder / f".{stem}-{digest[:10]}{last}{_SUFFIX}"
        number += 1
        with writing(folder):
            if taken := _taken(place, text):
                return taken


def _taken(place: Path, text: str) -> UnfinishedJob | None:
    """The job in a folder, made where it is missing; None if it is not ours to take."""
    place.parent.mkdir(parents=True, exist_ok=True)
    new = not place.exists()
    place.mkdir(exist_ok=True)
    try:
        held = lock(place / _LOCK)
    except NoLocksError:  # then nobody knows who else writes here: only a new folder is ours
        if not new:
            return None
        held = (place / _LOCK).open("ab", buffering=0)
    except FileNotFoundError:  # another process finished this very job and removed its folder
        return None
    if held is None:
        return None
    try:
        job = place / _JOB
        if job.exists() and job.read_text("utf-8") != text:
            held.close()
            return None
        resumed = job.exists()
        job.write_text(text, "utf-8")
        return UnfinishedJob(place, _read_done(place / _DONE), resumed, held)
    except BaseException:
        held.close()
        raise


def _read_done(path: Path) -> dict[tuple[int, ...], dict[str, Any]]:
    """What was noted; a last line that was not finished does not count."""
    done: dict[tuple[int, ...], dict[str, Any]] = {}
    if not path.exists():
        return done
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            facts = json.loads(line)
            done[tuple(int(i) for i in facts.pop("plane"))] = facts
    return done


def other_jobs(folder: Path, stem: str, own: Path) -> list[tuple[Path, int]]:
    """Folders of other interrupted jobs on the same image that nobody works on, and planes in each."""
    found = []
    for place in folder.glob(f".{glob.escape(stem)}-*{_SUFFIX}"):
        if place == own or not (place / _JOB).is_file():
            continue
        with contextlib.suppress(OSError):
            held = lock(place / _LOCK)
            if held is not None:
                held.close()
                found.append((place, len(_read_done(place / _DONE))))
    return sorted(found)
