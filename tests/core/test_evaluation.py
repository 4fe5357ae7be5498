"""Stacks against a truth and against second frames: means over planes, Stop, bad input."""

import dask.array as da
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ConfigurationError, ImageError
from napari_hdn.core.evaluation import Evaluation, evaluate, evaluate_second_frame
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.noise.gaussian import Gaussian


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    truth = rng.uniform(50, 90, (3, 40, 48)).astype(np.float32)
    truth[1] *= 3
    return truth, truth + rng.normal(0, (4, 2, 9), (40, 48, 3)).transpose(2, 0, 1).astype(
        np.float32
    )


def last(events) -> Evaluation:
    *_, result = events
    return result


def test_means_over_planes(data):
    truth, image = data
    stacks = [ImageStack(image, "TYX", "a"), ImageStack(truth, "TYX", "itself")]
    result = last(evaluate(stacks, ImageStack(truth, "TYX", "truth")))
    expected = [
        peak_signal_noise_ratio(t.astype(float), i.astype(float), data_range=float(np.ptp(t)))
        for t, i in zip(truth, image, strict=True)
    ]
    header, rows = result.table()
    assert header[:3] == ("image", "planes", "PSNR (dB, range max - min of the truth)")
    assert rows[0][:2] == ("a", 3)
    assert rows[0][2] == pytest.approx(np.mean(expected), abs=1e-6)
    mse = np.mean((image.astype(float) - truth) ** 2)
    assert rows[0][5] == pytest.approx(mse)
    assert rows[1][2:] == (np.inf, pytest.approx(1), np.inf, 0)


def test_a_stated_range(data):
    truth, image = data
    result = last(evaluate([ImageStack(image[:1], "TYX")], ImageStack(truth[0], "YX"), 255))
    expected = peak_signal_noise_ratio(
        truth[0].astype(float), image[0].astype(float), data_range=255
    )
    assert result.columns[0] == "PSNR (dB, range 255)"
    assert result.rows[0].values[0] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ConfigurationError, match="positive number of counts, not -3"):
        last(evaluate([ImageStack(image, "TYX")], ImageStack(truth, "TYX"), -3.0))


def test_one_plane_of_truth_for_all_and_axes_in_another_order(data):
    truth, image = data
    one = last(evaluate([ImageStack(image, "TYX")], ImageStack(truth[2], "YX")))
    assert one.rows[0].values[3] == pytest.approx(np.mean((image.astype(float) - truth[2]) ** 2))
    turned = ImageStack(np.moveaxis(image, 0, -1)[None], "CYXT")
    same = last(evaluate([turned], ImageStack(truth, "TYX")))
    assert same.rows[0].values[3] == pytest.approx(np.mean((image.astype(float) - truth) ** 2))


def test_planes_are_read_one_by_one(data):
    truth, image = data
    read = []

    def block(x):
        read.append(x.shape)
        return x

    lazy = da.from_array(image, chunks=(1, 40, 48)).map_blocks(block, meta=image[:0])
    events = evaluate([ImageStack(lazy, "TYX")], ImageStack(truth, "TYX"))
    next(events)
    assert read == [(1, 40, 48)]


def test_stop_tells_what_is_done(data):
    truth, image = data
    stop = Stop()
    events = evaluate([ImageStack(image, "TYX", "a")] * 2, ImageStack(truth, "TYX"), stop=stop)
    next(events)
    stop.request()
    result = last(events)
    assert result.stopped
    assert [r.planes for r in result.rows] == [1, 0]
    assert result.rows[0].values[3] == pytest.approx(
        np.mean((image[0].astype(float) - truth[0]) ** 2)
    )
    assert result.rows[1].values == (None,) * 4


def test_planes_of_zeros_are_left_out_and_told(data):
    truth, image = data
    partial = image.copy()
    partial[1] = 0
    stacks = [ImageStack(partial, "TYX", "partial"), ImageStack(image, "TYX", "whole")]
    *events, result = evaluate(stacks, ImageStack(truth, "TYX", "truth"))
    (two,) = last(evaluate([ImageStack(image[::2], "TYX")], ImageStack(truth[::2], "TYX"))).rows
    row, whole = result.rows
    assert (row.planes, row.total, row.empty, row.values) == (2, 3, 1, two.values)
    assert (whole.planes, whole.empty) == (3, 0)
    (notice,) = [e for e in events if isinstance(e, Notice)]
    assert notice.severity == "warning"
    assert "partial: 1 of 3 planes are 0 everywhere" in notice.text
    header, rows = result.table()
    assert header[-1] == "planes left out"
    assert [r[-1] for r in rows] == [1, 0]
    *events, second = evaluate_second_frame(Model(), stacks[:1], ImageStack(truth, "TYX", "frame"))
    assert (second.rows[0].planes, second.rows[0].empty) == (2, 1)
    excess = ((image[::2].astype(float) - truth[::2]) ** 2 - 36).mean()
    assert second.rows[0].values[0] == pytest.approx(excess)


def test_zeros_against_zeros_are_compared(data):
    truth, _ = data
    zeros = np.zeros_like(truth)
    frames = [ImageStack(zeros, "TYX", "dark")]
    result = last(evaluate_second_frame(Model(), frames, ImageStack(zeros, "TYX", "frame")))
    assert (result.rows[0].planes, result.rows[0].empty) == (3, 0)
    with pytest.raises(ImageError, match="All pixels of dark are 0 in 3 planes, while truth has"):
        last(evaluate(frames, ImageStack(truth, "TYX", "truth")))


def test_bad_input(data):
    truth, image = data
    good = ImageStack(truth, "TYX", "truth")
    for bad, reference, says in (
        (
            ImageStack(image[:, 1:], "TYX", "a"),
            good,
            r"a \(T 3 x Y 39 x X 48\) and truth \(T 3 x Y 40",
        ),
        (ImageStack(image[:2], "TYX", "a"), good, "do not belong together"),
        (ImageStack(image * np.nan, "TYX", "a"), good, "1920 of 1920 pixels are NaN"),
        (ImageStack(image, "TYX"), ImageStack(truth * 0 + 3, "TYX", "flat"), "flat, T 0 are 3"),
    ):
        with pytest.raises(ImageError, match=says):
            last(evaluate([bad], reference))
    with pytest.raises(ConfigurationError, match="at least one image"):
        last(evaluate([], good))


class Model:
    name = "m"
    noise_model = Gaussian(6.0)


def test_second_frames(data):
    truth, image = data
    rng = np.random.default_rng(4)
    second = truth + rng.normal(0, 6, truth.shape).astype(np.float32)
    stacks = [ImageStack(image, "TYX", "restored"), ImageStack(second, "TYX", "again")]
    *events, result = evaluate_second_frame(Model(), stacks, ImageStack(second, "TYX", "frame 2"))
    excess = ((image.astype(float) - second) ** 2 - 36).mean()
    mse, error, decibels, at_most, at_least, noise = result.rows[0].values
    assert mse == pytest.approx(excess, rel=1e-6)
    assert noise == pytest.approx(36, rel=1e-6)
    assert abs(mse - np.mean((image - truth) ** 2)) < 4 * error
    span = np.mean([np.ptp(i) for i in image])
    assert decibels == pytest.approx(20 * np.log10(span) - 10 * np.log10(mse))
    assert at_least < decibels < at_most
    assert at_most == pytest.approx(20 * np.log10(span) - 10 * np.log10(mse - 2 * error))
    told = [e.text for e in events if isinstance(e, Notice)]
    assert len(told) == 1 and "again and frame 2" in told[0] and "identical" in told[0]
    assert result.rows[1].values[0] == pytest.approx(-36)
    assert result.rows[1].values[2] is None


def test_damaged_planes_are_left_out_and_told():
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 10, (3, 24, 20)).astype(np.float32)
    image = truth + 1
    image[1, 0, 0] = np.nan
    *events, result = evaluate(
        [ImageStack(image, "TYX", "restored")], ImageStack(truth, "TYX", "truth")
    )
    (notice,) = [e.text for e in events if isinstance(e, Notice)]
    assert "restored: 1 of 3 planes cannot be compared; they are left out." in notice
    assert "restored, plane 1: 1 of 480 pixels are NaN" in notice
    (row,) = result.rows
    assert (row.planes, row.total, row.empty) == (2, 3, 1)
    assert row.values[3] == pytest.approx(1.0, rel=1e-4)
    flat = truth.copy()
    flat[0] = 7
    *_, result = evaluate([ImageStack(truth + 1, "TYX", "a")], ImageStack(flat, "TYX", "truth"))
    assert (result.rows[0].planes, result.rows[0].empty) == (2, 1)
