import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_hdn.core.errors import HDNError, ImageFileError
from napari_hdn.io.images import open_images
from napari_hdn.io.reading import zarr_pixels
from ngff import write_image

COUNTS = np.random.default_rng(0).poisson(50, (3, 2, 40, 24)).astype(np.uint16)


@pytest.mark.parametrize("options", [{}, {"shards": (2, 2, 32, 32)}, {"chunks": (2, 2, 7, 24)}])
@pytest.mark.parametrize(
    "key",
    [
        (1, 1),
        (slice(None), 1, slice(3, 39), slice(5, 20, 2)),
        (..., 7),
        (slice(1, 1),),
        (slice(None, None, -2), 0, slice(30, 2, -3)),
        (-1, -1, -1, -1),
        (np.int64(2),),
    ],
)
def test_indexed_like_numpy(tmp_path: Path, key, options: dict):
    (stack,) = open_images([write_image(tmp_path / "a.zarr", COUNTS, **options)])
    for _ in range(2):  # from the file, then from memory
        np.testing.assert_array_equal(stack.array[key], COUNTS[key])
    sent = pickle.loads(pickle.dumps(stack.array))
    np.testing.assert_array_equal(sent[key], COUNTS[key])
    with pytest.raises(IndexError):
        stack.array[3]


def test_a_chunk_is_decoded_once_for_all_its_planes(tmp_path: Path, monkeypatch):
    (stack,) = open_images([write_image(tmp_path / "a.zarr", COUNTS, chunks=(3, 1, 16, 24))])
    fetched = []
    original = zarr_pixels.ZarrPixels._fetch
    monkeypatch.setattr(
        zarr_pixels.ZarrPixels, "_fetch", lambda s, box: fetched.append(box) or original(s, box)
    )
    for t in range(3):
        np.testing.assert_array_equal(stack.crop((t, 1), slice(0, 20), slice(0, 9)),
                                      COUNTS[t, 1, :20, :9])  # fmt: skip
    assert fetched == [(range(3), range(1, 2), range(32), range(24))]
    monkeypatch.setattr(zarr_pixels._CHUNKS, "at_most", 100)  # too little to keep anything
    np.testing.assert_array_equal(stack.plane((1, 0)), COUNTS[1, 0])
    assert fetched[1:] == [(range(1, 2), range(1), range(40), range(24))]


def _damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:9], "empty": b"", "zeros": bytes(len(whole))}[how])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("how", ["cut", "empty", "zeros"])
def test_a_damaged_chunk_is_named_and_the_other_planes_are_read(
    tmp_path: Path, how: str, version: str
):
    path = write_image(tmp_path / "a.zarr", COUNTS, version=version)
    chunk = "c/1/0/2/1" if version == "0.5" else "1.0.2.1"
    _damage(path / "0" / chunk, how)
    (stack,) = open_images([path])
    says = rf"a\.zarr is damaged: its chunk {chunk}, which begins at pixel 1, 0, 32, 16, cannot"
    with pytest.raises(ImageFileError, match=says):
        stack.plane((1, 0))
    np.testing.assert_array_equal(stack.plane((1, 1)), COUNTS[1, 1])


def test_a_checksum_tells_of_a_single_bit(tmp_path: Path):
    checked = [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]
    path = write_image(tmp_path / "a.zarr", COUNTS, compressors=checked)
    chunk = path / "0" / "c" / "0" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(ImageFileError, match=r"chunk c/0/0/0/0.*checksum"):
        open_images([path])[0].plane((0, 0))


def test_a_damaged_shard(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS, shards=(1, 1, 48, 32))
    shard = path / "0" / "c" / "2" / "1" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[-10] ^= 255
    shard.write_bytes(data)
    with pytest.raises(ImageFileError, match="chunk c/2/1/0/0"):
        open_images([path])[0].plane((2, 1))


def test_a_compression_that_is_not_known(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    file = path / "0" / "zarr.json"
    content = json.loads(file.read_text())
    content["codecs"].append({"name": "weird"})
    file.write_text(json.dumps(content))
    with pytest.raises(ImageFileError, match=r"a\.zarr cannot be opened: .*weird"):
        open_images([path])


def test_a_drive_that_vanishes_is_not_read_as_zeros(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    (stack,) = open_images([path])
    np.testing.assert_array_equal(stack.plane((0, 0)), COUNTS[0, 0])
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(ImageFileError, match=r"cannot be read any more: No such file.*network"):
        stack.plane((1, 0))
    (tmp_path / "elsewhere").rename(path)
    np.testing.assert_array_equal(stack.plane((1, 0)), COUNTS[1, 0])


@pytest.mark.parametrize("number", [5, 116])  # EIO, ESTALE
def test_a_network_that_fails_in_the_middle(tmp_path: Path, monkeypatch, number: int):
    import os

    (stack,) = open_images([write_image(tmp_path / "a.zarr", COUNTS)])

    async def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zarr.storage.LocalStore, "get", fail)
    with pytest.raises(ImageFileError, match=f"any more: {os.strerror(number)}"):
        stack.plane((1, 0))


def test_an_array_that_is_replaced_is_not_mixed_with_the_old_one(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    (stack,) = open_images([path])
    np.testing.assert_array_equal(stack.plane((0, 0)), COUNTS[0, 0])
    shutil.rmtree(path)
    write_image(path, COUNTS + 1)
    with pytest.raises(
        ImageFileError, match=r"changed by another program.*pixels were written anew"
    ):
        stack.plane((1, 0))
    shutil.rmtree(path)
    write_image(path, COUNTS[:2])
    with pytest.raises(ImageFileError, match=r"shape was \[3, 2, 40, 24\], now \[2, 2, 40, 24\]"):
        stack.plane((1, 0))
    shutil.rmtree(path)
    write_image(path, COUNTS.astype(np.float32))
    with pytest.raises(ImageFileError, match="type, chunks or compression"):
        stack.plane((1, 0))


def test_a_recording_that_goes_on_can_be_used(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    (stack,) = open_images([path])
    np.testing.assert_array_equal(stack.plane((0, 0)), COUNTS[0, 0])
    zarr.open_array(path / "0").append(COUNTS + 7, axis=0)
    np.testing.assert_array_equal(stack.plane((2, 1)), COUNTS[2, 1])
    assert stack.array.shape == COUNTS.shape
    assert open_images([path])[0].array.shape == (6, 2, 40, 24)


def test_without_zarr_it_is_said_how_to_install_it(tmp_path: Path, monkeypatch):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(HDNError, match=r'pip install "napari-hdn\[zarr\]"'):
        open_images([path])
