import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.devices import Device
from napari_hdn.core.direct import lessons
from napari_hdn.core.direct.lessons import Draws, Teacher, plan_pieces, split
from napari_hdn.core.errors import ImageError
from napari_hdn.core.training.patches import Region
from simulated import simulate
from taught import lesson_of

CPU = Device("cpu", "", False)
EXACT = {"device": "cpu", "precision": "float32"}


def whole(stack: ImageStack, number: int = 0) -> Region:
    height, width = stack.plane_shape
    return Region(stack, (number,), 0, 0, height, width, number)


def test_pieces_cover_everything_once(stack):
    pieces = plan_pieces([whole(stack, k) for k in range(5)], 32, 100.0, 8, 0)
    seen = np.zeros((5, 64, 48), int)
    for p in pieces:
        seen[p.region.plane, p.y0 : p.y0 + p.height, p.x0 : p.x0 + p.width] += 1
    assert (seen == 1).all()
    assert sorted(p.number for p in pieces) == list(range(len(pieces)))


def test_pieces_that_are_too_narrow_are_left_out_and_enough_is_enough(stack):
    regions = [whole(stack, k) for k in range(5)]
    pieces = plan_pieces(regions, 32, 100.0, 20, 0)
    assert {(p.height, p.width) for p in pieces} == {(32, 32)} and len(pieces) == 10
    few = plan_pieces(regions, 32, 2.5e-3, 20, 0)
    assert few == pieces[:3]  # 1024 pixels each
    assert plan_pieces(regions, 32, 1e-9, 20, 1) != few[:1]


def test_the_same_frames_are_held_out_as_in_the_models_training(model, stack, quick):
    from napari_hdn.core.training.patches import split_regions

    ours = split([stack], model, quick)
    theirs = split_regions([stack], model.config)
    assert [r.index for r in ours.validation] == [r.index for r in theirs.validation]
    assert len(ours.validation) == 1 and len(ours.training) == 4


def test_images_smaller_than_a_patch_are_told(model, quick):
    small = ImageStack(simulate((12, 40)), "YX", "strip")
    with pytest.raises(ImageError, match="strip has 40 x 12 pixels, less than a patch of 16 x 16"):
        split([small], model, quick)


@pytest.mark.parametrize("off", [(), (1,)])
def test_a_lesson_is_what_the_model_restores(model, stack, quick, off):
    (piece,) = plan_pieces([whole(stack)], 512, 1.0, 16, 0)
    lesson = Teacher(model, off, CPU, quick).lesson(piece)
    counts = stack.plane((0,))
    restored = model.restore(counts, "YX", samples=2, deactivated_levels=off, **EXACT).mean
    curve = model.noise_model.curve()
    made = model.normalisation.invert(lesson.targets[0], curve).numpy()
    np.testing.assert_allclose(made, restored, rtol=1e-4)
    image = model.normalisation.apply(torch.from_numpy(counts), curve)
    torch.testing.assert_close(lesson.image, image, rtol=1e-5, atol=1e-5)


def test_a_piece_is_seen_with_what_lies_around_it(model, stack, quick, monkeypatch):
    monkeypatch.setattr(lessons, "halo_px", lambda config: 100)  # the whole plane
    pieces = plan_pieces([whole(stack)], 32, 1.0, 8, 0)
    teacher = Teacher(model, (), CPU, quick)
    (one,) = plan_pieces([whole(stack)], 512, 1.0, 16, 0)
    expected = teacher.lesson(one)
    for piece in pieces:
        part = (
            slice(piece.y0, piece.y0 + piece.height),
            slice(piece.x0, piece.x0 + piece.width),
        )
        same = type(piece)(**{**vars(piece), "number": 0})
        lesson = teacher.lesson(same)
        torch.testing.assert_close(lesson.image, expected.image[part])
        torch.testing.assert_close(lesson.targets[0], expected.targets[0][part])


def test_pieces_get_smaller_where_memory_is_short(model, quick, monkeypatch):
    teacher = Teacher(model, (), CPU, quick)
    monkeypatch.setattr(Device, "free_bytes", lambda self: 10**12)
    assert teacher.side(512) == 512
    monkeypatch.setattr(Device, "free_bytes", lambda self: 10**8)
    side = teacher.side(512)  # 40 % of 100 MB for 12 maps of 8 channels in float32
    assert 12 * 4 * 8 * (side + 128) ** 2 <= 0.4e8 < 12 * 4 * 8 * (512 + 128) ** 2
    assert side % model.config.network.multiple == 0


def test_the_median_learns_from_single_samples_that_differ(model, stack, quick):
    config = quick.model_copy(update={"learns": "median", "samples": 3})
    (piece,) = plan_pieces([whole(stack)], 512, 1.0, 16, 0)
    targets = Teacher(model, (), CPU, config).lesson(piece).targets
    assert targets.shape == (3, 64, 48)
    assert (targets[0] - targets[1]).std() > 1e-3


@pytest.mark.parametrize("learns", ["mean", "median"])
def test_an_exam_holds_the_statistic_and_what_it_may_be_off(model, stack, quick, learns):
    config = quick.model_copy(update={"learns": learns})
    (piece,) = plan_pieces([whole(stack)], 512, 1.0, 16, 0)
    teacher = Teacher(model, (), CPU, config)
    exam = teacher.exam(piece)
    plane = lessons.EXAM_PLANE - piece.number
    _, curve, drawn = teacher._draw(piece, lessons.EXAM_SAMPLES, antithetic=False, plane=plane)
    counts = model.normalisation.invert(drawn, curve).numpy().astype(np.float64)
    right = getattr(np, learns)(counts, axis=0)
    np.testing.assert_allclose(exam.right.numpy(), right, rtol=1e-5)
    assert exam.variance == pytest.approx(counts.var(axis=0, ddof=1).mean(), rel=1e-3)
    share = {"mean": 1, "median": np.pi / 2}[learns] / lessons.EXAM_SAMPLES
    assert exam.doubt == pytest.approx(share * exam.variance, rel=1e-6)


def test_draws_are_crops_of_lessons_with_their_targets_and_repeat(quick):
    draws = Draws([lesson_of((40, 20), targets=2), lesson_of((16, 16), seed=1)], quick, True)
    images, targets = draws.batch(3)
    assert images.shape == targets.shape == (4, 1, 16, 16)
    steps = (targets - images).flatten(1)
    assert torch.allclose(steps, steps.round(), atol=1e-5)
    assert set(steps.round().flatten().tolist()) <= {1.0, 2.0}
    again, _ = draws.batch(3)
    other, _ = draws.batch(4)
    assert torch.equal(again, images) and not torch.equal(other, images)


def test_larger_lessons_are_drawn_more_often_and_flips_are_a_choice(quick):
    config = quick.model_copy(update={"batch_size": 400})
    small, large = lesson_of((16, 16), seed=1), lesson_of((16, 48), seed=2)
    images, _ = Draws([small, large], config, False).batch(0)
    of_small = sum(bool(torch.equal(i[0], small.image)) for i in images)
    assert 70 < of_small < 130  # a quarter of the pixels
    images, _ = Draws([small], config, True).batch(0)
    ways = {tuple(i.flatten()[:3].tolist()) for i in images}
    assert len(ways) == 4
