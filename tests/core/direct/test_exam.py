import math

import pytest
import torch

from napari_hdn.core.devices import Device
from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.exam import examine
from napari_hdn.core.direct.network import random_network
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.planes import Prepared
from simulated import network
from taught import exam_of


@pytest.fixture
def prepared() -> Prepared:
    return Prepared(network(), Normalisation(100.0, 10.0), Gaussian(5.0), Device("cpu", "", False))


@pytest.fixture
def same():
    """A network that gives its image."""
    return random_network(DirectNetworkConfig(unshuffle=2, widths=(4, 4)), 0)


def test_marks_are_those_of_the_formula(prepared, same):
    rng = torch.Generator().manual_seed(0)
    exams, ratios, pairs, agreement = [], [], [], []
    for off, variance, shape in [(3.0, 4.0, (16, 16)), (1.0, 25.0, (9, 13))]:
        image = torch.randn(shape, generator=rng)
        right = image * 10 + 100 + off
        exams.append(exam_of(image, right, right + 0.5, variance, doubt=0.2))
        ratios.append((off**2 - 0.2) / variance)
        pairs.append((0.25 - 0.2) / variance)
        agreement.append(20 * math.log10(float(right.max() - right.min()) / off))
    marks = examine(same, prepared, exams)
    assert marks.loss_db == pytest.approx(sum(10 * math.log10(1 + r) for r in ratios) / 2, rel=1e-3)
    assert marks.pair_loss_db == pytest.approx(
        sum(10 * math.log10(1 + r) for r in pairs) / 2, rel=1e-3
    )
    assert marks.agreement_db == pytest.approx(sum(agreement) / 2, abs=1e-3)
    assert (marks.tiles, marks.samples) == (2, 16)


def test_what_is_no_further_than_the_mean_may_be_off_loses_nothing(prepared, same):
    image = torch.randn((16, 16), generator=torch.Generator().manual_seed(0))
    right = image * 10 + 100.1
    marks = examine(same, prepared, [exam_of(image, right, right, 4.0, doubt=0.02)])
    assert marks.loss_db == 0.0 and marks.pair_loss_db == 0.0


def test_samples_that_do_not_differ_and_a_flat_piece_give_finite_marks(prepared, same):
    image = torch.zeros((16, 16))
    right = torch.full((16, 16), 100.0)
    marks = examine(same, prepared, [exam_of(image, right, right, 0.0, doubt=0.0)])
    assert marks.loss_db == 0.0 and math.isfinite(marks.agreement_db)


def test_the_loss_of_psnr_against_the_truth_is_foretold_where_the_posterior_is_right(
    prepared, same
):
    """Truths drawn from the posterior: the loss in dB is that of PSNR to such a truth."""
    rng = torch.Generator().manual_seed(1)
    image = torch.randn((128, 128), generator=rng)
    error = torch.randn(image.shape, generator=rng) * 2  # of the direct network, counts
    right = image * 10 + 100 + error
    truth = right + torch.randn(image.shape, generator=rng) * 3  # the posterior's own spread
    marks = examine(same, prepared, [exam_of(image, right, right, 9.0, doubt=0.0)])
    direct = float(((image * 10 + 100 - truth) ** 2).mean())
    mean = float(((right - truth) ** 2).mean())
    assert marks.loss_db == pytest.approx(10 * math.log10(direct / mean), abs=0.05)
