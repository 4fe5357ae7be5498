"""The most plausible image (MAP) by mean shift over posterior samples (Prakash et al. 2022, A.7).

Samples of a small window are points; from each of them the mean of all points within the bandwidth
is taken again and again (flat kernel, as `sklearn.cluster.MeanShift`) until it rests; the resting
place with most points around it is the mode. Every mean is a weighted mean of the samples, so that all
distances follow from those between samples, and thousands of windows are searched at once; windows
overlap by half and are blended, so that neighbours agree.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WINDOW_PX = 16
NEIGHBOURS = 0.3  # share of the samples, as scikit-learn's estimate_bandwidth
STEP_PX = WINDOW_PX // 2
_MOST_STEPS = 100
_AT_ONCE = 256  # windows


def mode_weights(distances2: Tensor, bandwidth: float) -> Tensor:
    """How the mode of each window is mixed from its samples.

    Parameters
    ----------
    distances2 : Tensor
        (W, N, N) squared distances between the N samples of W windows.
    bandwidth : float
        As a multiple of how far a sample's nearest 30 % reach, mean over the samples of a window: in
        many dimensions all distances are alike, so that less leaves every sample alone, while this
        much brings together what has one mode and keeps apart what has several.

    Returns
    -------
    Tensor
        (W, N) weights that sum to 1.
    """
    windows, n, _ = distances2.shape
    if n == 1:
        return torch.ones_like(distances2[:, 0])
    k = max(1, round(NEIGHBOURS * (n - 1)))  # besides itself
    reach = torch.sqrt(distances2).kthvalue(k + 1, dim=2).values.mean(dim=1)
    reach2 = (bandwidth * reach) ** 2  # (W,)
    # seeds x samples; a weighted mean y = sum w_j x_j lies from x_i as far as
    # |y - x_i|^2 = sum_j w_j d_ij - 1/2 sum_jk w_j w_k d_jk
    weights = torch.eye(n, device=distances2.device, dtype=distances2.dtype).expand(windows, n, n)
    near = torch.zeros_like(weights, dtype=torch.bool)
    for _ in range(_MOST_STEPS):
        to_samples = weights @ distances2
        own = (to_samples * weights).sum(dim=2, keepdim=True) / 2
        before, near = near, to_samples - own <= reach2[:, None, None] * (1 + 1e-6) + 1e-12
        if torch.equal(near, before):
            break
        count = near.sum(dim=2, keepdim=True).clamp(min=1)
        weights = near.to(distances2.dtype) / count
    # most points; of several such places, the one that they lie nearest to
    points = near.sum(dim=2).to(distances2.dtype)  # (W, seeds)
    to_samples = weights @ distances2
    spread = (to_samples * weights).sum(dim=2) / 2
    rank = points - spread / (spread.amax(dim=1, keepdim=True) * 2 + 1e-30)
    best = rank.argmax(dim=1)
    return weights[torch.arange(windows, device=weights.device), best]


def map_estimate(samples: Tensor, bandwidth: float, origin: tuple[int, int] = (0, 0)) -> Tensor:
    """The mode of samples, window by window.

    Parameters
    ----------
    samples : Tensor
        (N, Y, X) independent samples.
    bandwidth : float
        See `mode_weights`.
    origin : (int, int)
        Where pixel (0, 0) lies in the whole plane: windows lie on the plane's grid, whatever piece of
        it is given.

    Returns
    -------
    Tensor
        (Y, X). Right from `WINDOW_PX` inside the borders that are not the plane's own.
    """
    height, width = samples.shape[1:]
    before = [at % STEP_PX + STEP_PX for at in origin]
    after = [-(-(size + b) // STEP_PX + 1) * STEP_PX - size - b
             for size, b in zip((height, width), before, strict=True)]  # fmt: skip
    # beyond the border nothing counts: its samples are all the same there
    padding = (before[1], after[1] + WINDOW_PX, before[0], after[0] + WINDOW_PX)
    deviations = functional.pad(samples - samples.mean(dim=0), padding)
    rise = torch.hann_window(WINDOW_PX, device=samples.device)
    shape = rise[:, None] * rise[None, :]  # windows half a window apart sum to 1
    out = torch.zeros(deviations.shape[-2:], device=samples.device)
    rows = range(0, deviations.shape[1] - WINDOW_PX + 1, STEP_PX)
    columns = range(0, deviations.shape[2] - WINDOW_PX + 1, STEP_PX)
    places = [(y, x) for y in rows for x in columns]
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        cut = torch.stack(
            [deviations[:, y : y + WINDOW_PX, x : x + WINDOW_PX] for y, x in some]
        )  # (W, N, window, window)
        points = cut.flatten(2)
        products = points @ points.transpose(1, 2)
        squares = products.diagonal(dim1=1, dim2=2)
        distances2 = (squares[:, :, None] + squares[:, None, :] - 2 * products).clamp(min=0)
        weights = mode_weights(distances2, bandwidth)
        modes = (weights[:, None] @ points).reshape(-1, WINDOW_PX, WINDOW_PX) * shape
        for (y, x), mode in zip(some, modes, strict=True):
            out[y : y + WINDOW_PX, x : x + WINDOW_PX] += mode
    ys = slice(before[0], before[0] + height)
    xs = slice(before[1], before[1] + width)
    return samples.mean(dim=0) + out[ys, xs]
