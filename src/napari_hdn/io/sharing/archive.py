"""A .zip that a stranger sent, opened without trusting a word that it says of itself.

Nothing is unpacked by the names in it: who takes an entry says where to. Sizes are counted while
inflating, whatever the headers claim.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from napari_hdn.core.errors import ArchiveError
from napari_hdn.io.sharing.contents import MOST_BYTES_IN_ALL

MOST_ENTRIES = 1000
MOST_DIRECTORY_BYTES = 2**20  # of the table of contents, which is read before a word of it is known
MOST_NAME = 240
MOST_RATIO = 100  # of unpacked to packed bytes; weights hardly shrink, JSON to a tenth
RATIO_FREE_BYTES = 16 * 2**20  # that small files may unpack to whatever the ratio
CHUNK = 2**20

_ENCRYPTED = 0x01 | 0x40
_DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")


class Archive:
    """The entries of a .zip, checked; made by `opened`.

    Attributes
    ----------
    name : str
        Of the file.
    names : tuple of str
        Of its files, with ``/`` between folders; folders themselves are left out.
    """

    def __init__(self, name: str, packed: zipfile.ZipFile, size: int) -> None:
        self.name = name
        self._zip = packed
        entries = packed.infolist()
        if len(entries) > MOST_ENTRIES:
            raise ArchiveError(
                f"{name} holds {len(entries)} files; a model has less than {MOST_ENTRIES}. It was left "
                "alone."
            )
        self._entries: dict[str, zipfile.ZipInfo] = {}
        seen: dict[str, str] = {}
        for entry in entries:
            self._check(entry)
            same = unicodedata.normalize("NFC", entry.filename).casefold().rstrip("/")
            if same in seen:
                raise ArchiveError(
                    f"{name} holds {_shown(entry.filename)} twice ({_shown(seen[same])}): one would "
                    "replace the other. It was left alone."
                )
            seen[same] = entry.filename
            if not entry.is_dir():
                self._entries[entry.filename] = entry
        if sum(entry.compress_size for entry in entries) > size:
            raise ArchiveError(f"{name} claims to hold more than it does. It was left alone.")
        if self.size(self._entries) > MOST_BYTES_IN_ALL:
            raise ArchiveError(
                f"{name} would unpack to {self.size(self._entries) / 1e9:.1f} GB, more than any model "
                "needs. It was left alone."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of all files, in their order."""
        return tuple(self._entries)

    def size(self, names: dict[str, zipfile.ZipInfo] | list[str] | tuple[str, ...]) -> int:
        """What some files claim to unpack to, in bytes."""
        return sum(self._entries[name].file_size for name in names)

    def copy(self, name: str, target: Path, most: int) -> Iterator[int | str]:
        """Unpack a file to a new one; yields bytes as they are written, last the SHA-256 of all.

        Parameters
        ----------
        name : str
            In the archive.
        target : Path
            A file that does not exist.
        most : int
            Bytes that it may have.

        Raises
        ------
        ArchiveError
            If it is damaged, or larger.
        """
        entry, written, digest = self._entries[name], 0, hashlib.sha256()
        if entry.file_size > most:
            raise self._too_large(name, most)
        with target.open("xb") as out:
            for chunk in self._chunks(entry):
                written += len(chunk)
                if written > most:
                    raise self._too_large(name, most)
                if written > max(RATIO_FREE_BYTES, MOST_RATIO * entry.compress_size):
                    raise ArchiveError(
                        f"{_shown(name)} in {self.name} unpacks to more than {MOST_RATIO} times its "
                        "size, as weights never do. It was left alone."
                    )
                digest.update(chunk)
                out.write(chunk)
                yield len(chunk)
        yield digest.hexdigest()

    def _chunks(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        with _damage(self.name), self._zip.open(entry) as source:
            while chunk := source.read(CHUNK):
                yield chunk

    def _too_large(self, name: str, most: int) -> ArchiveError:
        return ArchiveError(
            f"{_shown(name)} in {self.name} unpacks to more than {most / 2**20:.0f} MB, which no such "
            "file needs. It was left alone."
        )

    def _check(self, entry: zipfile.ZipInfo) -> None:
        given, parts = entry.orig_filename, entry.orig_filename.removesuffix("/").split("/")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        why = None
        if len(given) > MOST_NAME or _CONTROL.search(given):
            why = "whose name is none"
        elif given.startswith("/") or "\\" in given or _DRIVE.match(given):
            why = "which names a place on your computer"
        elif ".." in parts:
            why = "which would lie outside the model's folder"
        elif "" in parts or "." in parts:
            why = "whose name is none"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            why = "which is a link or a device, not a file"
        elif entry.flag_bits & _ENCRYPTED:
            why = "which needs a password; unpack it yourself and pack it without one"
        elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            why = (
                "which is packed in an unusual way; unpack it yourself and pack it as a plain .zip"
            )
        if why is not None:
            raise ArchiveError(f"{self.name} holds {_shown(given)}, {why}. It was left alone.")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a .zip and check its entries.

    Raises
    ------
    ArchiveError
        If it is no .zip, damaged or cut off, or holds what no model does.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from error
    with file:
        size = path.stat().st_size
        careful = _CarefulFile(file)
        with _damage(path.name):
            packed = zipfile.ZipFile(careful)
        careful.opening = False
        with packed:
            yield Archive(path.name, packed, size)


class _CarefulFile:
    """A file whose table of contents may not be larger than any model's.

    `zipfile` reads the table in one piece, of the size that the archive claims.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.opening = True

    def read(self, size: int = -1) -> bytes:
        if not self.opening:
            return self._file.read(size)
        most = MOST_DIRECTORY_BYTES
        content = self._file.read(min(size, most + 1) if size >= 0 else most + 1)
        if len(content) > most:
            raise ArchiveError(
                f"A .zip with a table of contents of more than {most / 2**20:.0f} MB holds no model. It "
                "was left alone."
            )
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


@contextmanager
def _damage(name: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except (*_DAMAGED, OSError) as error:
        reason = str(error)[:100] or type(error).__name__
        raise ArchiveError(
            f"{name} is no .zip, or it is damaged or cut off ({reason}). Copy or download it again."
        ) from error


def _shown(name: str) -> str:
    """A name as it may be shown: without what moves the cursor, and not endless."""
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
