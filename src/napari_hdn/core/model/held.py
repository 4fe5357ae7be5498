"""Training on what lies below the latents that stay, so that these cannot take anything new in.

With levels off, the ladder has to make an image of fewer latents. Trained on as a whole it would
move what the levels off held, the artefact too, into the levels that are on. Held above, it learns
only to make the best image of what these levels held before.
"""

from __future__ import annotations

from torch import nn

from napari_hdn.core.model.ladder import Ladder, TopDownLevel


def held_modules(network: Ladder) -> list[nn.Module]:
    """All that decides what the latents of the levels that are on hold.

    The way up, and on the way down what lies above the highest level that is off; of levels below it
    that are on, what makes their latents of the image.
    """
    off = network.config.deactivated_levels
    highest = max(off, default=0)
    held: list[nn.Module] = [network.first, network.first_block, *network.bottom_up]
    for level in network.levels:
        module: TopDownLevel = network.top_down[level - 1]  # type: ignore[assignment]
        if level in off:
            continue
        if level > highest + 1:
            held.append(module)
        else:  # what it gives to the level below may change, not its latents
            held.append(module.stochastic)
            held += [module.merge] if module.merge is not None else []
    return held


def hold_above(network: Ladder) -> None:
    """Stop `held_modules` from learning, their batch-norm from following the batches."""
    for module in held_modules(network):
        module.requires_grad_(False)
        module.eval()
