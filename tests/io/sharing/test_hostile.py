"""What strangers send: each a clear error, nothing left behind, nothing run."""

import io
import json
import os
import pickle
import random
import shutil
import stat
import struct
import zipfile
import zlib

import pytest
import torch

from napari_hdn import api
from napari_hdn.core.errors import ArchiveError, HDNError
from napari_hdn.io.models.library import models_folder
from napari_hdn.io.sharing import archive
from sharing import contents


class Evil:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return (open, (self.mark, "w"))


@pytest.fixture
def files(folder):
    """Those of a good model, which lies elsewhere from now on."""
    found = contents(folder)
    shutil.rmtree(folder)
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sent.zip"


def _pack(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def _refused(path, complaint):
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(ArchiveError, match=complaint):
        list(api.import_model(path))
    assert list(models_folder().rglob("*")) == []
    assert sorted(path.parent.rglob("*")) == before


def test_the_good_one_is_taken(files, path):
    *_, done = api.import_model(_pack(path, files))
    assert contents(done.folder) == files


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("../config.json", "outside the model's folder"),
        ("cells/../../evil.json", "outside the model's folder"),
        ("/etc/cron.d/evil", "a place on your computer"),
        ("C:/evil.json", "a place on your computer"),
        ("C:evil.json", "a place on your computer"),
        ("..\\evil.json", "a place on your computer"),
        ("direct\\..\\..\\evil", "a place on your computer"),
        ("direct//direct.json", "whose name is none"),
        ("./config.json", "whose name is none"),
        ("a\nb", "whose name is none"),
        ("\x1b[2Jconfig.json", "whose name is none"),
        ("x" * 300, "whose name is none"),
        ("CONFIG.json", "twice"),
        ("Config.JSON", "twice"),
        ("config.json/", "twice"),
    ],
)
def test_names_that_do_harm(files, path, name, complaint):
    _refused(_pack(path, {**files, name: b"{}"}), complaint)


def test_names_that_are_the_same_on_some_computers(files, path):
    same = {"direct/e\u0301/direct.json": b"", "direct/\u00e9/direct.json": b""}
    _refused(_pack(path, {**files, **same}), "twice")


def test_the_same_name_twice(files, path):
    _pack(path, files)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as out:
        out.writestr("config.json", b"{}")
    _refused(path, "twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices(files, path, kind):
    _pack(path, files)
    entry = zipfile.ZipInfo("notes.lnk")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(entry, "/etc/passwd")
    _refused(path, "a link or a device")


def test_entries_with_a_password(files, path):
    _pack(path, files)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    _refused(path, "needs a password")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing(files, path, method):
    _refused(_pack(path, files, method), "packed in an unusual way")


def test_too_many_entries(files, path):
    many = {f"direct/{i}/direct.json": b"" for i in range(1200)}
    _refused(_pack(path, {**files, **many}), "holds 12.. files")


def test_a_table_of_contents_that_would_fill_the_memory(files, path):
    """Its size is looked at before it is read; the claimed one too, in both formats of the end."""
    _pack(path, {**files, **{f"{'x' * 200}{i}": b"" for i in range(5000)}})
    _refused(path, "table of contents of more than 1 MB")
    data = bytearray(_pack(path, files).read_bytes())
    struct.pack_into("<I", data, len(data) - 22 + 12, 2**32 - 2)  # the claim alone
    path.write_bytes(data)
    _refused(path, "damaged or cut off")


def test_bombs(files, path):
    """A gigabyte of zeros in a megabyte, beside a good model and in its place."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            if name != "weights.safetensors":
                out.writestr(name, content)
        with out.open("weights.safetensors", "w") as entry:
            for _ in range(64):
                entry.write(bytes(2**20))
    path.write_bytes(bomb.getvalue())
    assert path.stat().st_size < 2**20
    _refused(path, "more than 100 times its size")


def _with_claim(path, name, offset, value):
    """Change a size of an entry in the table of contents and before the entry."""
    data = bytearray(path.read_bytes())
    for head, at_size, at_name in ((b"PK\x01\x02", offset, 46), (b"PK\x03\x04", offset - 2, 30)):
        at = -1
        while (at := data.find(head, at + 1)) >= 0:
            if data[at + at_name : at + at_name + len(name)] == name.encode():
                struct.pack_into("<I", data, at + at_size, value)
    path.write_bytes(data)


UNPACKED, PACKED = 24, 20  # where the table says so


@pytest.mark.parametrize(
    ("offset", "value", "complaint"),
    [
        (UNPACKED, 2**32 - 2, "unpacks to more than 2048 MB"),
        (UNPACKED, 10, "damaged or cut off"),  # it is longer
        (PACKED, 2**32 - 2, "claims to hold more than it does"),
        (PACKED, 10, "damaged or cut off"),
    ],
)
def test_sizes_that_lie(files, path, offset, value, complaint):
    _with_claim(_pack(path, files), "weights.safetensors", offset, value)
    _refused(path, complaint)


def test_a_size_that_hides_a_bomb(files, path, monkeypatch):
    """The limit counts what comes out, not what the header says."""
    monkeypatch.setitem(archive.__dict__, "RATIO_FREE_BYTES", 1000)
    monkeypatch.setitem(archive.__dict__, "CHUNK", 500)
    _refused(_pack(path, {**files, "notes.txt": b"a" * 500_000}), "times its size")


def test_overlapping_entries(files, path):
    """Many entries of the same bytes: the sum of what is packed is more than the file."""
    del files["recipe.json"]
    _pack(path, {**files, "recipe.json": os.urandom(100_000)})  # the last one
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", data, end + 16)[0]
    at = data.rindex(b"PK\x01\x02", start, end)
    entry, name = data[at:end], b"recipe.json"
    copies = b"".join(
        entry.replace(name, f"re{i:05}.json"[: len(name)].encode()) for i in range(50)
    )
    table = data[start:end] + copies
    tail = bytearray(data[end:])
    count = len(files) + 1 + 50
    struct.pack_into("<HHI", tail, 8, count, count, len(table))
    path.write_bytes(data[:start] + table + tail)
    _refused(path, r"claims to hold more than it does|damaged or cut off")


def test_cut_off_anywhere(files, path):
    whole = _pack(path, files).read_bytes()
    rng = random.Random(0)
    cuts = [0, 1, 21, 22, *(rng.randrange(len(whole)) for _ in range(25)), len(whole) - 1]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        _refused(path, "sent.zip is no .zip, or it is damaged or cut off")


def test_damaged_anywhere(files, path):
    """Whatever byte is changed: a clear error, or the model as it was."""
    good = {k: v for k, v in files.items() if k != "resume.ckpt"}
    whole = _pack(path, good, zipfile.ZIP_STORED).read_bytes()
    rng, refused = random.Random(1), 0
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data)) if rng.random() < 0.5 else -rng.randrange(1, 800)
            data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            *_, done = api.import_model(path)
        except HDNError:
            refused += 1
        else:
            assert contents(done.folder).items() <= good.items()
            shutil.rmtree(done.folder)
        assert list(models_folder().iterdir()) == []
    assert refused > 20


@pytest.mark.parametrize("name", ["resume.ckpt", "weights.safetensors", "notes.txt", "config.json"])
def test_pickles_never_run(files, path, tmp_path, name):
    mark = tmp_path / "it ran"
    evil = Evil(mark)
    for content in (pickle.dumps(evil), _saved(evil, legacy=True), _saved(evil, legacy=False)):
        _refused(_pack(path, {**files, name: content}), name.replace(".", r"\."))
        assert not mark.exists()
    pickle.loads(pickle.dumps(evil)).close()  # it would have
    assert mark.exists()


def _saved(thing, *, legacy):
    buffer = io.BytesIO()
    torch.save({"step": thing}, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def test_pickles_under_other_names_are_not_even_unpacked(files, path, tmp_path):
    mark = tmp_path / "it ran"
    others = {name: pickle.dumps(Evil(mark)) for name in ("data.pkl", "direct/mean/x.pt", "a.npy")}
    *told, done = api.import_model(_pack(path, {**files, **others}))
    assert contents(done.folder) == files and not mark.exists()
    assert all(name in told[-2].text for name in others)


def _changed(content, **changes):
    data = json.loads(content)
    data["training"]["network"] |= changes
    data["training"]["patch_px"] = 256
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("config.json", lambda c: b"[" * 200_000, "nested too deeply"),
        ("config.json", lambda c: c.replace(b'"std": 4.0', b'"std": NaN'), "no number"),
        ("config.json", lambda c: c.replace(b'"std": 4.0', b'"std": 1e999'), "too large a number"),
        ("config.json", lambda c: b" " * (33 * 2**20), "more than 32 MB"),
        (
            "config.json",
            lambda c: _changed(c, levels=8, channels=256, blocks=10),
            r"weights\.safetensors .* is damaged",
        ),
        ("config.json", lambda c: _changed(c, channels=10**9), r"config\.json .* is damaged"),
        ("noise_model.json", lambda c: b'{"kind": "os.system"}', "not known here"),
        ("recipe.json", lambda c: b'{"a":' * 50_000, "nested too deeply"),
        ("recipe.json", lambda c: b"{}", "no recipe of napari-hdn"),
        ("recipe.json", lambda c: c[: len(c) // 2], r"recipe\.json is damaged"),
        ("levels.json", lambda c: b"[1]", r"levels\.json .* is damaged"),
        ("notes.txt", lambda c: b"\xff\xfe\xff", "is no text"),
        ("notes.txt", lambda c: b"a" * (2**20 + 1), "more than 1 MB"),
        ("weights.safetensors", lambda c: c[:-1], r"weights\.safetensors .* is damaged"),
        ("weights.safetensors", lambda c: b"\xff" * 8 + c, r"weights\.safetensors .* is damaged"),
        ("direct/mean/direct.json", lambda c: b"{}", r"direct\.json .* is damaged"),
        ("direct/mean/direct.safetensors", lambda c: c[:100], r"direct\.safetensors .* is damaged"),
        ("direct/evil/direct.json", lambda c: b"{}", r"direct\.safetensors is missing"),
    ],
)
def test_files_that_are_none(files, path, name, change, complaint):
    changed = {**files, name: change(files.get(name, b""))}
    _refused(_pack(path, changed, zipfile.ZIP_STORED), complaint)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: {}, "holds no model: there is no config.json"),
        (lambda f: {"a/b/c/config.json": b"{}"}, "holds no model"),
        (lambda f: {f"{m}/{k}": v for m in "ab" for k, v in f.items()}, "holds 2 models"),
        (lambda f: {"config.json": f["config.json"]}, "weights.safetensors is missing"),
        (lambda f: {"rdf.yaml": b"!!python/object/apply:os.system [x]", **f}, "did not make"),
    ],
)
def test_archives_of_something_else(files, path, change, complaint):
    _refused(_pack(path, change(files)), complaint)


def test_what_is_no_zip(path):
    for content in (b"", b"PK", b"\x1f\x8b" + zlib.compress(b"x"), os.urandom(5000)):
        path.write_bytes(content)
        _refused(path, "is no .zip, or it is damaged")
    with pytest.raises(ArchiveError, match="cannot be read: No such file"):
        list(api.import_model(path.with_name("gone.zip")))


def test_names_that_not_every_system_has_are_left_out(files, path):
    odd = {f"direct/{n}/direct.json": b"" for n in ("a:b", "q?", "end.", " x")}
    *told, done = api.import_model(_pack(path, {**files, **odd}))
    assert contents(done.folder) == files
    assert "direct/a:b" in told[-2].text
