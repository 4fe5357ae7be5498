import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ImageError
from napari_hdn.core.ranks import Rank
from napari_hdn.core.training.patches import IN_MEMORY_BYTES, Patches, split_regions

CPU = torch.device("cpu")


def numbered(frames=6, height=40, width=56):
    """Every pixel is its own number."""
    return np.arange(frames * height * width, dtype=np.float32).reshape(frames, height, width)


def test_frames_are_held_out_where_there_are_enough(tiny_config):
    split = split_regions([ImageStack(numbered(20), "TYX")], tiny_config)
    assert len(split.validation) == 2 and len(split.training) == 18
    assert {r.plane for r in split.training} | {r.plane for r in split.validation} == set(range(20))


def test_a_strip_is_held_out_of_a_single_frame(tiny_config):
    split = split_regions([ImageStack(numbered(1)[0], "YX")], tiny_config)
    (train,), (val,) = split.training, split.validation
    assert (train.height, train.width) == (40, 48) and (val.height, val.width) == (40, 8)
    assert val.x0 == 48


def test_a_single_128_px_image_is_enough(tiny_config):
    config = tiny_config.model_copy(update={"patch_px": 64})
    split = split_regions([ImageStack(numbered(1, 128, 128)[0], "YX")], config)
    assert split.training[0].height == 112 and split.validation[0].height == 16


def test_an_image_of_one_patch_is_all_training(tiny_config):
    split = split_regions([ImageStack(numbered(1, 16, 16)[0], "YX")], tiny_config)
    assert len(split.training) == 1 and split.validation == ()


def test_too_small_an_image_says_what_to_choose(tiny_config):
    config = tiny_config.model_copy(update={"patch_px": 64})
    with pytest.raises(
        ImageError, match=r"56 x 40 pixels, less than a patch of 64 x 64; choose patch 64 -> 40"
    ):
        split_regions([ImageStack(numbered(1), "TYX", "small")], config)


@pytest.mark.parametrize("in_memory_bytes", [0, 2**30])
def test_batches_are_crops_and_a_function_of_seed_and_step(tiny_config, in_memory_bytes):
    data = numbered()
    config = tiny_config.model_copy(update={"flips": False, "batch_size": 5})
    regions = split_regions([ImageStack(data, "TYX")], config).training
    patches = Patches(regions, config, CPU, in_memory_bytes=in_memory_bytes)
    assert patches.in_memory == (in_memory_bytes > 0)
    counts, image = patches.batch(3)
    assert counts.shape == (5, 1, 16, 16)
    for patch, plane in zip(counts[:, 0].numpy(), image.tolist(), strict=True):
        first = int(patch[0, 0]) - plane * 40 * 56
        y, x = divmod(first, 56)
        np.testing.assert_array_equal(patch, data[plane, y : y + 16, x : x + 16])
    again = Patches(regions, config, CPU).batch(3)
    assert torch.equal(counts, again[0]) and torch.equal(image, again[1])
    assert not torch.equal(counts, patches.batch(4)[0])


def test_flips_never_transpose_and_rotations_do(tiny_config):
    """Neighbours along x differ by 1 in the data; only a transposed patch has them along y."""
    data = numbered(1, 64, 64)
    config = tiny_config.model_copy(update={"batch_size": 64, "validation_fraction": 0.0})
    stack = [ImageStack(data, "TYX")]

    def step_sizes(config):
        patches = Patches(split_regions(stack, config).training, config, CPU)
        x = patches.batch(0)[0]
        return {float(v) for v in (x[:, 0, 0, 1] - x[:, 0, 0, 0]).unique()}

    assert step_sizes(config) == {-1.0, 1.0}
    assert step_sizes(config.model_copy(update={"flips": False})) == {1.0}
    assert step_sizes(config.model_copy(update={"rotations": True})) == {-64.0, -1.0, 1.0, 64.0}


def test_all_places_are_drawn_evenly(tiny_config):
    config = tiny_config.model_copy(update={"batch_size": 400})
    data = np.zeros((1, 17, 48), np.float32)
    data[0, :, 0] = 1
    patches = Patches(split_regions([ImageStack(data, "TYX")], config).training, config, CPU)
    share = float(np.mean([patches.batch(k)[0].amax(dim=(1, 2, 3)).mean() for k in range(8)]))
    places = patches.regions[0].width - 16 + 1
    assert share == pytest.approx(1 / places, rel=0.25)


def test_nan_is_refused_with_its_place(tiny_config):
    data = numbered(1)
    data[0, 5, 5] = np.nan
    regions = split_regions([ImageStack(data, "TYX", "cells")], tiny_config).training
    with pytest.raises(ImageError, match=r"cells, plane 0: 1 of"):
        Patches(regions, tiny_config, CPU)


def test_a_small_share_for_validation_is_at_least_one_strip(tiny_config):
    config = tiny_config.model_copy(update={"validation_fraction": 0.003})
    split = split_regions([ImageStack(numbered(1, 128, 128)[0], "YX")], config)
    assert min(split.validation[0].height, split.validation[0].width) == config.network.multiple


def test_a_batch_that_is_read_from_files_is_moved_in_one_go(monkeypatch, tiny_config, stack):
    moves = []

    def moved(tensor, device):
        moves.append(tuple(tensor.shape))
        return tensor

    regions = split_regions([stack], tiny_config).training
    held = Patches(regions, tiny_config, CPU)
    read = Patches(regions, tiny_config, CPU, in_memory_bytes=0)
    monkeypatch.setattr("napari_hdn.core.training.patches.moved", moved)
    counts, image = read.batch(3, size=5)
    assert moves == [(5, 1, 16, 16), (5,)]
    again = held.batch(3, size=5)
    assert torch.equal(counts, again[0]) and torch.equal(image, again[1])


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_shares_of_all_processes_make_the_batch(stack, tiny_config, in_memory):
    config = tiny_config.model_copy(update={"batch_size": 6, "rotations": True})
    size = IN_MEMORY_BYTES if in_memory else 0
    patches = Patches(split_regions([stack], config).training, config, CPU, in_memory_bytes=size)
    counts, image = patches.batch(9)
    shares = [patches.batch(9, rank=Rank(k, 3, k, 3)) for k in range(3)]
    assert all(len(c) == 2 for c, _ in shares)
    assert torch.equal(torch.cat([c for c, _ in shares]), counts)
    assert torch.equal(torch.cat([i for _, i in shares]), image)
