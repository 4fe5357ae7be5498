"""How far the network looks: the difference between tiled and untiled restoration, by halo.

    python benchmarks/halo.py MODEL IMAGE.tif [--tile 128]

Restores the image (mean latents) whole and in tiles with halos of growing width, and prints the
largest difference as a share of the restored image's range: anywhere, and at the seams against
elsewhere. ``core/restoring/tiling.halo_px`` takes its rule from here.
"""

from __future__ import annotations

import argparse

import numpy as np

import napari_hdn as hdn
from napari_hdn import api
from napari_hdn.core.restoring import restorer, tiling


def restored(model: hdn.HDN, image: np.ndarray, halo: int, tile: int | None) -> np.ndarray:
    """The mean-latent restoration with a given halo; whole without a tile."""
    rule = restorer.halo_px
    restorer.halo_px = lambda config: halo
    try:
        return model.restore(image, "YX", samples=1, tile_px=tile, precision="float32").mean
    finally:
        restorer.halo_px = rule


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("image")
    parser.add_argument("--tile", type=int, default=128)
    arguments = parser.parse_args()
    model = hdn.HDN.load(arguments.model)
    (stack,) = api.open_images([arguments.image])
    image = stack.plane(next(iter(stack.indices())))
    whole = restored(model, image, 0, None)
    extent = float(whole.max() - whole.min())
    near = np.zeros(image.shape, bool)
    for at in range(arguments.tile, max(image.shape), arguments.tile):
        near[at - 2 : at + 2] = True
        near[:, at - 2 : at + 2] = True
    levels = model.config.network.levels
    print(f"{levels} levels; the rule takes {tiling.halo_px(model.config.network)} px")
    for halo in (0, 16, 32, 64, 96, 128, 192, 256):
        difference = np.abs(restored(model, image, halo, arguments.tile) - whole) / extent
        print(
            f"halo {halo:4d} px: largest difference {100 * difference.max():7.3f} % of the range; "
            f"rms at seams {100 * np.sqrt((difference[near] ** 2).mean()):.4f} %, "
            f"elsewhere {100 * np.sqrt((difference[~near] ** 2).mean()):.4f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()
