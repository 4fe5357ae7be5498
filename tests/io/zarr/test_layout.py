import numpy as np
import pytest

from napari_hdn.io.zarr.layout import plan_layout


def test_a_plane_is_one_file_up_to_2048_pixels_a_side():
    layout = plan_layout((10, 2048, 2048), "TYX", pyramid=False)
    assert (layout.levels[0].chunk, layout.levels[0].file) == ((512, 512), (2048, 2048))
    small = plan_layout((100, 130), "YX").levels[0]
    assert small.chunk == small.file == (100, 130) and not small.sharded
    odd = plan_layout((1000, 5000), "YX", pyramid=False).levels[0]
    assert (odd.chunk, odd.file) == ((512, 512), (1024, 2048))


@pytest.mark.parametrize(("rows", "chunk"), [(1024, 512), (768, 384), (592, 296), (521, 521)])
def test_bands_of_the_writer_are_kept_apart(rows, chunk):
    cut = plan_layout((5000, 4000), "YX", rows=rows).levels[0]
    assert (cut.file[0], cut.chunk[0]) == (rows, chunk)
    assert cut.file[0] % cut.chunk[0] == 0


def test_the_pyramid_ends_at_one_chunk_and_small_planes_have_none():
    assert [c.shape for c in plan_layout((1300, 2051), "YX").levels] == [
        (1300, 2051),
        (650, 1026),
        (325, 513),
        (163, 257),
    ]
    assert len(plan_layout((1024, 1024), "YX").levels) == 1
    assert len(plan_layout((1024, 1024), "YX", pyramid=True).levels) == 2
    assert len(plan_layout((3000, 3000), "YX", pyramid=False).levels) == 1


@pytest.mark.parametrize(
    ("axes", "shape", "stored"),
    [
        ("ZTCYX", (2, 3, 4, 5, 6), ("TCZYX", (3, 4, 2, 5, 6))),
        ("SZTYX", (2, 3, 4, 5, 6), ("TSZYX", (4, 2, 3, 5, 6))),
        ("XYC", (6, 5, 4), ("CYX", (4, 5, 6))),
        ("STCZYX", (7, 2, 3, 4, 5, 6), ("TCZYX", (2, 21, 4, 5, 6))),
    ],
)
def test_every_plane_has_a_place_of_its_own(axes, shape, stored):
    layout = plan_layout(shape, axes)
    assert (layout.axes, layout.shape) == stored
    lead = [n for a, n in zip(axes, shape, strict=True) if a not in "YX"]
    places = {layout.place(index) for index in np.ndindex(*lead)}
    assert places == set(np.ndindex(*layout.shape[:-2]))


def test_samples_of_channels_are_kept_together_by_sample():
    layout = plan_layout((7, 3, 5, 6), "SCYX")
    assert layout.samples == 7
    assert [layout.place((s, c)) for s in (0, 1) for c in range(3)] == [(k,) for k in range(6)]
