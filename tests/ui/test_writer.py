"""napari's own save dialogue: our writer takes OME-TIFF names only, and replaces nothing."""

import json

import dask.array as da
import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_hdn import api
from napari_hdn.core.errors import OutputError
from napari_hdn.core.recipes.images import identify
from napari_hdn.ui.contributions import write_image, write_zarr


@pytest.fixture
def save_as(viewer, monkeypatch):
    """Choose a name and a kind of file in File > Save Selected Layer(s)."""

    def save(path, kind=""):
        def chosen(*args, filter="", **kwargs):
            (entry,) = [f for f in filter.split(";;") if kind in f][:1]
            return str(path), entry

        monkeypatch.setattr(QFileDialog, "getSaveFileName", chosen)
        viewer.__wrapped__.window._qt_viewer._save_layers_dialog(selected=True)

    return save


def test_saving_through_napari(viewer, tmp_path, noisy):
    layer = viewer.add_image(
        noisy.astype(np.float32) + 0.25,
        name="n",
        scale=(1, 200, 300),
        units=("second", "nm", "nm"),
        axis_labels=("z", "y", "x"),
    )
    (path,) = layer.save(str(tmp_path / "n.ome.tif"))
    (back,) = api.open_images([path])
    assert back.axes == "ZYX"
    np.testing.assert_array_equal(np.asarray(back.array[:]), layer.data)
    assert {a: back.pixel_size_um[a] for a in "YX"} == pytest.approx({"Y": 0.2, "X": 0.3})


def test_a_name_without_suffix_never_replaces_the_file_with_it(viewer, save_as, tmp_path, noisy):
    there = tmp_path / "foo.ome.tif"
    there.write_bytes(b"precious")
    layer = viewer.add_image(noisy, name="n")
    written = layer.save(str(tmp_path / "foo"), plugin="napari-hdn")
    assert written == [str(tmp_path / "foo-2.ome.tif")]
    save_as(tmp_path / "foo", "OME-TIFF")
    assert there.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.glob("foo*")) == [
        "foo-2.ome.tif",
        "foo-3.ome.tif",
        "foo.ome.tif",
    ]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "foo-3.ome.tif"), noisy)


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("foo", "foo.ome.tif"),
        ("foo.tif", "foo.ome.tif"),
        ("cells 0.5um", "cells 0.5um.ome.tif"),
        ("foo.ome.tiff", "foo.ome.tiff"),
    ],
)
def test_our_kind_of_file_always_has_its_suffix(viewer, save_as, tmp_path, noisy, typed, written):
    viewer.add_image(noisy, name="n")
    save_as(tmp_path / typed, "OME-TIFF")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [written]


@pytest.mark.parametrize(
    ("pixels", "rgb"),
    [(np.full((9, 9, 3), 7, np.uint8), True), (np.eye(9, dtype=bool), False), (np.eye(9), False)],
)
def test_plain_tif_is_left_to_napari(viewer, tmp_path, pixels, rgb):
    layer = viewer.add_image(pixels, rgb=rgb, name="p")
    (path,) = layer.save(str(tmp_path / "p.tif"))
    back = tifffile.imread(path)
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize(
    ("pixels", "rgb", "reason"),
    [
        (np.zeros((9, 9, 3), np.uint8), True, "RGB"),
        (np.eye(9, dtype=bool), False, "bool"),
        (np.zeros((9, 9), np.int64), False, "int64"),
    ],
)
def test_a_refusal_arrives_with_its_reason(viewer, tmp_path, pixels, rgb, reason):
    layer = viewer.add_image(pixels, rgb=rgb, name="p")
    with pytest.raises(OutputError, match=reason):
        layer.save(str(tmp_path / "p.ome.tif"))
    assert [p for p in tmp_path.iterdir() if p.is_file()] == []


def test_losing_precision_is_told(viewer, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hdn.ui.contributions.show_info", told.append)
    viewer.add_image(np.eye(9), name="p").save(str(tmp_path / "p.ome.tif"))
    assert len(told) == 1 and "float64" in told[0]


def test_the_writer_keeps_integers_and_reads_lazily(tmp_path):
    path = tmp_path / "a.ome.tiff"
    fine = da.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    attributes = {"name": "a", "multiscale": True, "scale": (1, 1, 1), "units": ("pixel",) * 3}
    assert write_image(str(path), [fine, fine[:, ::2, ::2]], attributes) == [str(path)]
    back = tifffile.imread(path)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, fine.compute())
    assert list(tmp_path.iterdir()) == [path]


def test_saving_as_ome_zarr(viewer, save_as, tmp_path, noisy):
    """By the dialogue and by the name; napari's own reader opens it again."""
    (tmp_path / "n.ome.zarr").mkdir()
    there = tmp_path / "n.ome.zarr" / "precious"
    there.write_bytes(b"precious")
    attributes = {"scale": (2, 0.2, 0.3), "units": ("second", "um", "um"), "axis_labels": "tyx"}
    layer = viewer.add_image(noisy, name="n", **attributes)
    save_as(tmp_path / "n", "OME-Zarr")
    assert there.read_bytes() == b"precious"
    assert layer.save(str(tmp_path / "n.ome.zarr")) == [str(tmp_path / "n-3.ome.zarr")]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "n-2.ome.zarr",
        "n-3.ome.zarr",
        "n.ome.zarr",
    ]
    ome = json.loads((tmp_path / "n-2.ome.zarr" / "zarr.json").read_bytes())["attributes"]["ome"]
    (scales,) = ome["multiscales"]
    assert scales["name"] == "n"
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"] == [2, 0.2, 0.3]
    (opened,) = viewer.open(tmp_path / "n-2.ome.zarr", plugin="napari")
    np.testing.assert_array_equal(np.asarray(opened.data), noisy)


def test_a_picture_is_refused_as_ome_zarr_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="RGB"):
        write_zarr(str(tmp_path / "p"), np.zeros((9, 9, 3), np.uint8), {"rgb": True})
    with pytest.raises(OutputError, match=r"p was not saved: .*int64"):
        write_zarr(str(tmp_path / "p"), np.zeros((9, 9), np.int64), {"name": "p"})
    assert not list(tmp_path.iterdir())


def test_a_projection_keeps_metadata_but_not_axes(tmp_path):
    attributes = {
        "name": "p",
        "metadata": {"napari-hdn": {"product": "mean", "axes": "TYX"}},
        "scale": (0.2, 0.2),
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
    }
    (path,) = write_image(str(tmp_path / "p"), np.ones((8, 9), np.float32), attributes)
    (back,) = api.open_images([path])
    assert back.axes == "YX"
    assert back.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.2})


def test_a_recipe_that_is_none_is_told_and_the_file_is_saved(viewer, tmp_path, noisy, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hdn.ui.contributions.show_info", told.append)
    identity = {"product": "mean", "recipe": {"format": "something else"}}
    layer = viewer.add_image(noisy.astype(np.float32), name="n", metadata={"napari-hdn": identity})
    (path,) = layer.save(str(tmp_path / "n.ome.tif"))
    np.testing.assert_array_equal(tifffile.imread(path), layer.data)
    assert "n.ome.tif is saved, but not the recipe beside it" in told[0]
    assert [p.name for p in tmp_path.iterdir()] == ["n.ome.tif"]


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_only_what_a_repetition_writes_has_a_checksum(dtype, tmp_path, noisy, trained):
    model, stack = api.load_model(trained), api.ImageStack(noisy, "TYX", "noisy")
    recipe = api.restoration_recipes(model, api.RestorationConfig(device="cpu")).of(stack)
    path = tmp_path / "a.ome.tif"
    api.write_ome_tiff(path, noisy.astype(np.float32), "TYX", dtype=dtype)
    beside = api.write_recipe_beside(recipe.model_dump(mode="json"), "mean", path)
    (result,) = api.read_recipe(beside).restoration.results
    assert result.file == "a.ome.tif" and (result.sha256 is None) == (dtype == "uint16")


@pytest.mark.parametrize("ending", ["ome.tif", "ome.zarr"])
def test_a_plane_has_its_checksum_whatever_axes_a_layer_has(ending, viewer, tmp_path, trained):
    image = np.random.default_rng(0).random((40, 32), np.float32)
    inputs = [api.JobInput("image", api.ImageStack(image, "YX", "a"))]
    made = api.job_recipe("trust", api.TrustSettings(), inputs, model=api.load_model(trained))
    identity = {"product": "trust", "axes": "TYX", "recipe": made.model_dump(mode="json")}
    layer = viewer.add_image(image[None], name="n", metadata={"napari-hdn": identity})
    layer.save(str(tmp_path / f"n.{ending}"), plugin="napari-hdn")
    (result,) = api.read_recipe(tmp_path / "n-recipe.json").job.results
    record = identify(api.ImageStack(image, "YX"))
    assert (result.product, result.sha256) == ("map", record.sha256)
