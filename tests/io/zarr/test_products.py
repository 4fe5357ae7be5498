import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_hdn.core.errors import OutputError
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.products import Product
from napari_hdn.io.zarr import products as module
from napari_hdn.io.zarr.products import ZarrProducts

SHAPE = (3, 70, 90)
MEAN = np.random.default_rng(8).normal(100, 9, SHAPE).astype(np.float32)
SAMPLES = np.stack([MEAN + 1, MEAN - 1])


def products(folder: Path, samples=False, dtype="float32", **choices) -> ZarrProducts:
    made = {"mean": Product(folder / "a_hdn-mean.ome.zarr", SHAPE, "TYX", np.dtype(dtype))}
    if samples:
        path = folder / "a_hdn-samples.ome.zarr"
        made["samples"] = Product(path, (2, *SHAPE), "STYX", np.dtype("float32"), many=True)
    return ZarrProducts(
        folder,
        "a_hdn",
        made,
        (3,),
        {"image": "a"},
        metadata=ImageMetadata(),
        made_by="t",
        **choices,
    )


def write(files: ZarrProducts, t: int, steps=(70,), stop: int = 70):
    first = 0
    for step in steps:
        last = min(first + step, stop)
        rows = {"mean": MEAN[t, first:last]}
        if "samples" in files.images:
            rows["samples"] = SAMPLES[:, t, first:last]
        files.write((t,), rows, first, last == 70)
        first = last


def pixels(path: Path) -> np.ndarray:
    return zarr.open_array(path / "0", mode="r")[:]


def test_products_appear_together_when_they_are_whole(tmp_path: Path):
    with products(tmp_path, samples=True) as files:
        for t in (2, 0, 1):
            write(files, t)
        assert [p.name[0] for p in tmp_path.iterdir()] == ["."]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a_hdn-mean.ome.zarr",
        "a_hdn-samples.ome.zarr",
    ]
    np.testing.assert_array_equal(pixels(files.written["mean"]), MEAN)
    np.testing.assert_array_equal(
        pixels(files.written["samples"]),
        SAMPLES.transpose(1, 0, 2, 3),  # OME-Zarr: T first
    )
    assert files.kept == "" and not files.partial


@pytest.mark.parametrize("steps", [(7,) * 10, (50, 20), (1, 69)])
def test_rows_are_collected_until_they_fill_a_file(tmp_path: Path, steps):
    with products(tmp_path, rows=16) as files:
        calls = []
        image = files.images["mean"]
        real, image.write = image.write, lambda *a: calls.append((a[2], len(a[1]))) or real(*a)
        for t in range(3):
            write(files, t, steps)
    np.testing.assert_array_equal(pixels(files.written["mean"]), MEAN)
    assert all(first % 16 == 0 for first, _ in calls)
    assert all(rows % 16 == 0 or first + rows == 70 for first, rows in calls)


def test_going_on_after_an_interruption(tmp_path: Path):
    with pytest.raises(RuntimeError) as caught, products(tmp_path, samples=True) as files:
        write(files, 0)
        write(files, 1, (40,), 40)
        raise RuntimeError("the lamp went out")
    assert "1 of 3 planes are done and kept" in caught.value.__notes__[0] == files.kept
    assert [p.name[:7] for p in tmp_path.iterdir()] == [".a_hdn-"]
    with products(tmp_path, samples=True) as again:
        assert again.done == {(0,)}
        assert again.remarks()[0].startswith("Going on with an interrupted restoration: 1 of 3")
        write(again, 1)
        write(again, 2)
    np.testing.assert_array_equal(pixels(again.written["mean"]), MEAN)
    assert len(list(tmp_path.iterdir())) == 2


def test_stopped_without_an_error_it_is_kept_likewise(tmp_path: Path):
    with products(tmp_path) as files:
        write(files, 0)
    assert "1 of 3 planes are done" in files.kept and not files.written
    with products(tmp_path, pyramid=True) as other:  # not the same job
        assert not other.done
        (told,) = other.remarks()
        assert "holds 1 plane of another restoration of" in told
    assert [len(list(p.glob("mean*"))) for p in tmp_path.iterdir()] == [1]


def test_nothing_done_leaves_nothing(tmp_path: Path):
    with products(tmp_path / "new") as files:
        write(files, 0, (40,), 40)
    assert list(tmp_path.iterdir()) == [] and files.kept == ""


def test_a_plane_whose_file_is_gone_is_done_again(tmp_path: Path):
    with products(tmp_path) as files:
        write(files, 0)
        write(files, 1)
        lost = next(files.images["mean"].files((1,)))
    lost.unlink()
    with products(tmp_path) as again:
        assert again.done == {(0,)}


def test_two_programs_at_once_both_write_whole_results(tmp_path: Path):
    folder, signs = tmp_path / "results", tmp_path / "signs"
    signs.mkdir()
    program = textwrap.dedent(
        f"""
        import os, runpy, time
        from pathlib import Path
        ours = runpy.run_path({__file__!r})
        signs = Path({str(signs)!r})
        with ours["products"](Path({str(folder)!r})) as files:
            ours["write"](files, 0)
            (signs / str(os.getpid())).touch()
            while len(list(signs.iterdir())) < 2:  # the other one works, too
                time.sleep(0.02)
            ours["write"](files, 1)
            ours["write"](files, 2)
        """
    )
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        assert [process.wait(timeout=240) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
            process.wait()
    names = ["a_hdn-mean-2.ome.zarr", "a_hdn-mean.ome.zarr"]
    assert sorted(p.name for p in folder.iterdir()) == names
    for name in names:
        np.testing.assert_array_equal(pixels(folder / name), MEAN)


def test_clipped_pixels_of_all_sessions_are_counted(tmp_path: Path):
    with products(tmp_path, dtype="uint8") as files:
        files.write((0,), {"mean": np.full((70, 90), 300.0)}, 0, True)
        files.write((1,), {"mean": np.full((30, 90), 300.0)}, 0, False)  # to be done again
    with products(tmp_path, dtype="uint8") as again:
        write(again, 1)
        files = again
        again.write(
            (2,), {"mean": np.pad(MEAN[2, 1:], ((1, 0), (0, 0)), constant_values=-5.0)}, 0, True
        )
    assert again.clipped == {"mean": 70 * 90 + 90}


def test_damaged_planes_are_empty_and_the_name_says_partial(tmp_path: Path):
    with products(tmp_path) as files:
        write(files, 0)
        write(files, 1, (30,), 30)
        files.give_up((1,))
        write(files, 2)
    assert files.written["mean"].name == "a_hdn-mean-partial.ome.zarr" and files.partial
    made = pixels(files.written["mean"])
    assert np.isnan(made[1]).all()
    np.testing.assert_array_equal(made[[0, 2]], MEAN[[0, 2]])
    group = zarr.open_group(files.written["mean"], mode="r")
    assert group.attrs["napari-hdn"]["partial"] == "2 of 3 planes, the others are NaN"


def test_a_name_that_was_taken_meanwhile_is_numbered(tmp_path: Path):
    with products(tmp_path) as files:
        for t in range(3):
            write(files, t)
        (tmp_path / "a_hdn-mean.ome.zarr").mkdir()  # empty, but somebody's
    assert files.written["mean"].name == "a_hdn-mean-2.ome.zarr"
    assert not list((tmp_path / "a_hdn-mean.ome.zarr").iterdir())


def test_an_error_while_names_are_given_keeps_everything(tmp_path: Path, monkeypatch):
    def gone(*args, **choices):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(module, "publish_folder", gone)
        with (
            pytest.raises(OutputError, match="does not answer") as caught,
            products(tmp_path) as files,
        ):
            for t in range(3):
                write(files, t)
    assert "3 of 3 planes are done" in caught.value.__notes__[0]
    with products(tmp_path) as again:
        assert len(again.done) == 3
    np.testing.assert_array_equal(pixels(again.written["mean"]), MEAN)
