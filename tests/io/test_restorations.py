from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import OutputError
from napari_hdn.core.events import PlaneRestored
from napari_hdn.core.recipes.making import RestorationRecipes
from napari_hdn.io.images import FileStack, open_images
from napari_hdn.io.restorations import ENDINGS, FORMATS, RestorationFiles, is_restoration
from sharing import tiny_model

RECIPES = RestorationRecipes(tiny_model(), RestorationConfig(device="cpu"))


def stack(shape=(20, 30), axes="YX", **fields):
    array = np.zeros(shape, np.uint16)
    return FileStack(array, axes, "a.tif", path=Path("a.tif"), **fields)


def files(folder, image, outputs=("mean", "std"), **choices):
    config = RestorationConfig(outputs=outputs, samples=3)
    return RestorationFiles(folder, image, config, **choices)


def restored(image, value=1.0, outputs=("mean", "std"), index=()):
    shape = image.plane_shape
    planes = {o: np.full((3, *shape) if o == "samples" else shape, value, np.float32)
              for o in outputs}  # fmt: skip
    return PlaneRestored(index, planes, slice(0, shape[0]))


def test_products_of_one_restoration_have_the_same_number(tmp_path: Path):
    image = stack()
    with files(tmp_path, image, ("mean",)) as first:
        first.write(restored(image, outputs=("mean",)))
    with files(tmp_path, image, model="m", integers=True) as second:
        second.write(restored(image, 1.6))
    assert {p: path.name for p, path in second.written.items()} == {
        "mean": "a_hdn-mean-2.ome.tif",
        "std": "a_hdn-std-2.ome.tif",
    }
    assert not second.partial
    mean = tifffile.imread(second.written["mean"])
    assert mean.dtype == np.uint16 and (mean == 2).all()
    with tifffile.TiffFile(second.written["std"]) as file:
        assert "with model m" in file.ome_metadata
        assert file.asarray().dtype == np.float32


@pytest.mark.parametrize("format", FORMATS)
def test_two_programs_at_once_both_write_whole_results(tmp_path: Path, format: str):
    image = stack()
    with (
        files(tmp_path, image, format=format, identity="a") as first,
        files(tmp_path, image, format=format, identity="a") as second,
    ):
        for made in (first, second):
            made.recipe = RECIPES.of(image)
            made.write(restored(image))
    assert not first.partial and not second.partial
    names = sorted(p.name for p in tmp_path.iterdir())
    ending = ENDINGS[format]
    assert names == sorted(
        [f"a_hdn-{p}{n}{ending}" for p in ("mean", "std") for n in ("", "-2")]
        + ["a_hdn-recipe.json", "a_hdn-recipe-2.json"]
    )


def test_samples_get_an_axis_and_rows_come_piece_by_piece(tmp_path: Path):
    image = stack((2, 20, 30), "TYX")
    values = np.random.default_rng(0).normal(size=(3, 2, 20, 30)).astype(np.float32)
    with files(tmp_path, image, ("samples", "mean")) as written:
        for index in (0, 1):
            for rows in (slice(0, 8), slice(8, 20)):
                part = values[:, index, rows]
                planes = {"samples": part, "mean": part[0]}
                written.write(PlaneRestored((index,), planes, rows, rows.stop == 20))
    np.testing.assert_array_equal(tifffile.imread(written.written["mean"]), values[0])
    (opened,) = open_images([written.written["samples"]])
    order = [opened.axes.index(a) for a in "STYX"]
    np.testing.assert_array_equal(np.asarray(opened.array).transpose(order), values)


def test_rows_of_an_unfinished_plane_are_kept(tmp_path: Path):
    image = stack()
    with files(tmp_path, image, ("mean",)) as written:
        written.write(PlaneRestored((), {"mean": np.ones((8, 30), np.float32)}, slice(0, 8), False))
    assert written.partial
    (path,) = written.written.values()
    assert path.name == "a_hdn-mean-partial.ome.tif"
    with tifffile.TiffFile(path) as file:
        assert "partial: 0 of 1 planes, the others are 0, but for 8 rows" in file.ome_metadata
        np.testing.assert_array_equal(
            file.asarray(), np.repeat([1.0, 0.0], (8, 12))[:, None] + np.zeros(30)
        )


def test_all_files_together_must_fit(tmp_path: Path, monkeypatch):
    image = stack()
    free = 4 * image.array.size * 2.5
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    for outputs in (("mean", "std"), ("samples",)):
        written = files(tmp_path, image, outputs)
        if outputs == ("samples",):
            with pytest.raises(OutputError, match=r"samples of 3\) needs 0.01 MB"), written:
                pass
        else:
            with written:
                pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("levels_off", "says"),
    [((), "with model m"), ((1,), "with model m, level 1 off"), ((1, 2), "m, levels 1, 2 off")],
)
def test_files_say_which_levels_are_off(tmp_path: Path, levels_off, says: str):
    image = stack()
    with files(tmp_path, image, model="m", levels_off=levels_off) as written:
        written.write(restored(image))
    for path in written.written.values():
        with tifffile.TiffFile(path) as file:
            assert f"{says}</Description>" in file.ome_metadata


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("a_hdn-mean.ome.tif", True),
        ("a_hdn-std-3.ome.tif", True),
        ("a_hdn-mean-2-partial-4.ome.tif", True),
        ("a_hdn-without-1-2-mean.ome.tif", True),
        ("a_hdn-q05.ome.tif", True),
        ("a_hdn-q02.5-2.ome.tif", True),
        ("a_hdn-samples-partial.ome.tif", True),
        ("a.tif", False),
        ("mean.ome.tif", False),
        ("hdn-mean-cells.ome.tif", False),
    ],
)
def test_known_by_name(tmp_path: Path, name: str, ours: bool):
    (tmp_path / name).touch()
    assert is_restoration(tmp_path / name) == ours


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("size", [(20, 30), (200, 300)])  # the mark lies behind the pixels
def test_known_by_the_mark_under_another_name(tmp_path: Path, planes: int, size):
    image = stack((2, *size), "TYX")
    with files(tmp_path, image) as written:
        for index in range(planes):
            written.write(restored(image, index=(index,)))
    assert is_restoration(written.written["std"].rename(tmp_path / "renamed.tif"))
    tifffile.imwrite(tmp_path / "other.tif", np.ones((2, *size), np.uint16))
    assert not is_restoration(tmp_path / "other.tif")
