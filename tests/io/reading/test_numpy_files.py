import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_hdn.core.errors import HDNError, ImageError, ImageFileError
from napari_hdn.core.events import Notice
from napari_hdn.io.images import open_images
from napari_hdn.io.reading.flat import FlatPixels

COUNTS = np.random.default_rng(0).poisson(50, (5, 40, 24)).astype(np.uint16)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">f4"])
def test_an_array_is_read_where_it_is_asked_for(tmp_path: Path, order: str, dtype: str):
    array = np.asarray(COUNTS, dtype, order=order)
    np.save(tmp_path / "Zellen ü.npy", array)
    (stack,) = open_images([tmp_path / "Zellen ü.npy"])
    assert isinstance(stack.array, FlatPixels)
    assert (stack.axes, stack.stem, stack.array.dtype) == ("TYX", "Zellen ü", np.dtype(dtype[1:]))
    for key in [(2,), (slice(None), 3), (..., 5), (1, slice(9, 2, -2), slice(4, 20, 3))]:
        np.testing.assert_array_equal(stack.array[key], COUNTS[key])


def test_rows_of_a_wide_image_are_read_without_the_rest(tmp_path: Path, monkeypatch):
    wide = np.arange(6 * 100_000, dtype=np.uint32).reshape(6, 100_000)
    np.save(tmp_path / "wide.npy", wide)
    (stack,) = open_images([tmp_path / "wide.npy"])
    read = []
    original = FlatPixels._read_into
    monkeypatch.setattr(
        FlatPixels, "_read_into", lambda s, f, out, at: read.append(out.size) or original(s, f, out, at)
    )  # fmt: skip
    np.testing.assert_array_equal(stack.array[1:4, 70_000:70_050], wide[1:4, 70_000:70_050])
    assert read == [50, 50, 50]


def test_arrays_of_an_archive(tmp_path: Path):
    np.savez(tmp_path / "one.npz", frames=COUNTS, seconds=np.arange(5.0))
    (stack,) = open_images([tmp_path / "one.npz"])
    assert (stack.stem, stack.part, stack.axes) == ("one", "", "TYX")
    np.testing.assert_array_equal(stack.plane((3,)), COUNTS[3])
    np.savez_compressed(tmp_path / "two.npz", a=COUNTS, b=COUNTS[0])
    assert [s.stem for s in open_images([tmp_path / "two.npz"])] == ["two_a", "two_b"]
    (named,) = open_images([tmp_path / "two.npz" / "b"])
    assert (named.name, named.stem) == ("two.npz [b]", "two_b")
    np.testing.assert_array_equal(named.plane(()), COUNTS[0])
    with pytest.raises(ImageFileError, match=r"no array frames; it holds a, b"):
        open_images([tmp_path / "two.npz" / "frames"])


class _Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_never_loaded(tmp_path: Path):
    objects = np.array([_Explosive()] * 4).reshape(2, 2)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "b.npz", a=objects)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(COUNTS))
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("a.npy", pickle.dumps(_Explosive()))
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ImageFileError, match=r"pickled Python objects.*never opened"):
            open_images([tmp_path / name])
    for name in ("c.npy", "d.npz"):
        with pytest.raises(ImageFileError, match="is no NumPy file, or is damaged"):
            open_images([tmp_path / name])


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, kept: float):
    np.save(tmp_path / "a.npy", COUNTS)
    np.savez(tmp_path / "b.npz", COUNTS)
    for name in ("a.npy", "b.npz"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(ImageFileError, match=f"{name[0]}.np. is .*damaged"):
            open_images([tmp_path / name])


def test_damage_inside_of_an_archive_is_told_when_it_is_read(tmp_path: Path):
    np.savez_compressed(tmp_path / "a.npz", COUNTS)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    (stack,) = open_images([tmp_path / "a.npz"])
    with pytest.raises(ImageFileError, match=r"a\.npz is truncated or damaged \(arr_0: "):
        stack.plane((0,))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((0, 8, 8), np.uint16), r"holds no pixels: its size is 0 x 8 x 8"),
        (np.zeros(8), "has 1 axes; an image has two or more"),
        (np.zeros((8, 8), complex), "complex128 values"),
        (np.zeros((1,) * 9), "9 axes"),
    ],
)
def test_what_is_no_image(tmp_path: Path, array: np.ndarray, says: str):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises((ImageError, ImageFileError, HDNError), match=says):
        open_images([tmp_path / "a.npy"])


def test_of_a_folder_only_where_there_are_no_other_images(tmp_path: Path):
    np.save(tmp_path / "a10.npy", COUNTS)
    np.save(tmp_path / "a9.npy", COUNTS)
    names = {n: COUNTS for n in ("trained_weight", "min_signal", "max_signal", "min_sigma")}
    np.savez(tmp_path / "noise.npz", **names)
    assert [s.stem for s in open_images([tmp_path])] == ["a9", "a10"]
    (tmp_path / "b.zarr").mkdir()
    told: list[Notice] = []
    with pytest.raises(ImageFileError, match=r"b\.zarr has no zarr\.json"):
        open_images([tmp_path], tell=told.append)
    assert "Left out 2 NumPy files such as a9.npy" in told[0].text


def test_a_file_in_memory_of_another_version(tmp_path: Path):
    file = io.BytesIO()
    np.lib.format.write_array(file, COUNTS, version=(2, 0))
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    np.testing.assert_array_equal(open_images([tmp_path / "a.npy"])[0].plane((4,)), COUNTS[4])
