"""Random numbers of a share of the batch."""

import torch

from napari_hdn.core.model.draws import SharedGenerator, normal, uniform
from napari_hdn.core.ranks import Rank

CPU = torch.device("cpu")


def test_the_shares_are_what_one_process_draws():
    whole = torch.Generator().manual_seed(3)
    expected = [normal((6, 4, 2, 2), whole, CPU), uniform((6, 5), whole, CPU)]
    shares = []
    for k in range(3):
        rng = SharedGenerator()
        rng.rank = Rank(k, 3, k, 3)
        rng.manual_seed(3)
        shares.append([normal((2, 4, 2, 2), rng, CPU), uniform((2, 5), rng, CPU)])
    for i, numbers in enumerate(expected):
        torch.testing.assert_close(torch.cat([s[i] for s in shares]), numbers, rtol=0, atol=0)
