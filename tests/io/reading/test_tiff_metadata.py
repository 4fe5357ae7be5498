from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hdn.core.errors import ImageError, ImageFileError
from napari_hdn.io.images import open_images

COUNTS = np.random.default_rng(0).poisson(50, (3, 2, 40, 24)).astype(np.uint16)


def _metadata(path: Path):
    (stack,) = open_images([path])
    return stack.metadata


def test_channels_and_time_step_from_ome(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "TCYX", "TimeIncrement": 250.0, "TimeIncrementUnit": "ms"}
    metadata |= {"Channel": {"Name": ["GFP", "Kern 核"]}}
    tifffile.imwrite(path, COUNTS, metadata=metadata)
    assert _metadata(path).channel_names == ("GFP", "Kern 核")
    assert _metadata(path).time_step_s == pytest.approx(0.25)
    assert open_images([path], channel="gfp")[0].channel == 0


def test_the_time_step_from_when_planes_were_recorded(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    times = [0.0, 0.1, 2.0, 2.1, 4.2, 4.3]
    planes = {"DeltaT": times, "DeltaTUnit": ["s"] * 6}
    tifffile.imwrite(path, COUNTS, metadata={"axes": "TCYX", "Plane": planes})
    assert _metadata(path).time_step_s == pytest.approx(2.1)


@pytest.mark.parametrize("step", ["nan", "-1", "soon"])
def test_nonsense_for_a_time_step(tmp_path: Path, step: str):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, COUNTS, metadata={"axes": "TCYX", "TimeIncrement": step})
    assert _metadata(path).time_step_s is None


@pytest.mark.parametrize(
    ("more", "step"),
    [({"finterval": 0.5}, 0.5), ({"fps": 4.0}, 0.25), ({"finterval": 2.0, "tunit": "min"}, 120)],
)
def test_time_step_and_channels_from_imagej(tmp_path: Path, more: dict, step: float):
    path = tmp_path / "a.tif"
    labels = ["GFP", "DAPI"] * 3
    metadata = {"axes": "TCYX", "Labels": labels, **more}
    tifffile.imwrite(path, COUNTS, imagej=True, metadata=metadata)
    assert _metadata(path).time_step_s == pytest.approx(step)
    assert _metadata(path).channel_names == ("GFP", "DAPI")


def test_labels_of_single_slices_are_no_channels(tmp_path: Path):
    path = tmp_path / "a.tif"
    metadata = {"axes": "TCYX", "Labels": [f"slice {i}" for i in range(6)]}
    tifffile.imwrite(path, COUNTS, imagej=True, metadata=metadata)
    assert _metadata(path).channel_names == ()


@pytest.mark.parametrize("subifds", [True, False])
def test_of_a_pyramid_the_finest_level(tmp_path: Path, subifds: bool):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=subifds, bigtiff=True) as file:
        options = {"tile": (16, 16), "photometric": "minisblack", "compression": "zlib"}
        image = COUNTS[:, 0]
        if subifds:
            file.write(image, subifds=2, metadata={"axes": "TYX"}, **options)
        else:
            file.write(image, metadata=None, **options)
        for level in (2, 4):
            file.write(image[:, ::level, ::level], subfiletype=1, metadata=None, **options)
    (stack,) = open_images([path])
    assert stack.array.shape == (3, 40, 24)
    np.testing.assert_array_equal(stack.plane((2,)), COUNTS[2, 0])


def _spread(folder: Path, names: list[str]) -> None:
    """An OME-TIFF of one time point a file."""
    parts = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:'
        f"0000000{t}-0000-4000-8000-000000000000</UUID></TiffData>"
        for t, name in enumerate(names)
    )
    for t, name in enumerate(names):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
            f'OME/2016-06" UUID="urn:uuid:0000000{t}-0000-4000-8000-000000000000"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="24" SizeY="40" SizeZ="1" '
            f'SizeC="1" SizeT="{len(names)}" TimeIncrement="3"><Channel ID="Channel:0:0" Name="GFP" '
            f'SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            folder / name, COUNTS[t, 0], description=xml.encode(), metadata=None,
            photometric="minisblack", compression="zlib",
        )  # fmt: skip


def test_an_image_in_several_files(tmp_path: Path):
    names = ["a_t0.ome.tif", "a_t1.ome.tif", "a &amp; b.ome.tif".replace("&amp;", "u")]
    _spread(tmp_path, names)
    (stack,) = open_images([tmp_path])
    assert (stack.axes, stack.metadata.time_step_s) == ("TYX", 3.0)
    assert stack.metadata.channel_names == ("GFP",)
    for t in range(3):
        np.testing.assert_array_equal(stack.plane((t,)), COUNTS[t, 0])
    (tmp_path / names[1]).unlink()
    with pytest.raises(
        ImageFileError, match=r"in 3 files, of which 1 is not in .*: a_t1\.ome\.tif"
    ):
        open_images([tmp_path / names[0]])


def test_a_part_of_an_image_in_several_files_that_is_replaced(tmp_path: Path):
    names = ["a_t0.ome.tif", "a_t1.ome.tif"]
    _spread(tmp_path, names)
    (stack,) = open_images([tmp_path])
    tifffile.imwrite(tmp_path / names[1], COUNTS[0, 0])
    np.testing.assert_array_equal(stack.plane((0,)), COUNTS[0, 0])
    with pytest.raises(ImageFileError, match=r"changed by another program"):
        stack.plane((1,))


@pytest.mark.filterwarnings("ignore:.*writing zero-size array")
def test_a_stack_without_frames(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((0, 32, 32), np.uint16))
    with pytest.raises(ImageError, match=r"a\.tif holds no pixels: its size is 0 x 32 x 32"):
        open_images([tmp_path / "a.tif"])
