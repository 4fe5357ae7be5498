import pytest
import torch

from napari_hdn.core.restoring.latent_noise import LatentNoise

NOISE = LatentNoise(seed=1, plane=0, channels=3, device=torch.device("cpu"))


def test_a_crop_is_a_crop_of_the_whole():
    whole = NOISE.crop(0, 1, 0, 0, 200, 150)
    assert torch.equal(NOISE.crop(0, 1, 50, 60, 90, 70), whole[:, 50:140, 60:130])


def test_it_is_standard_normal_and_differs_everywhere_else():
    whole = NOISE.crop(0, 1, 0, 0, 256, 256)
    assert float(whole.mean()) == pytest.approx(0, abs=0.01)
    assert float(whole.std()) == pytest.approx(1, abs=0.01)
    others = [
        NOISE.crop(1, 1, 0, 0, 64, 64),
        NOISE.crop(0, 2, 0, 0, 64, 64),
        LatentNoise(2, 0, 3, torch.device("cpu")).crop(0, 1, 0, 0, 64, 64),
        LatentNoise(1, 1, 3, torch.device("cpu")).crop(0, 1, 0, 0, 64, 64),
        whole[:, 64:128, :64],
    ]
    for other in others:
        both = torch.stack([whole[:, :64, :64].flatten(), other.flatten()])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 0.05
