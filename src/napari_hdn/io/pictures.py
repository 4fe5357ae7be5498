"""Pictures of many images side by side, with words: arrays in, PNG out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP_PX = 4  # between images
APART_PX = 24  # between groups
LEAST_PX = 128  # smaller images are enlarged by a whole number
QUANTILE = 0.002  # of the pixels that may be darker than black, and as many brighter than white


def grid_png(
    groups: Mapping[str, np.ndarray],
    rows: Sequence[str],
    *,
    limits: tuple[float, float] | None = None,
) -> bytes:
    """A PNG with groups of images side by side, all in the same contrast.

    Parameters
    ----------
    groups : mapping of str to ndarray
        What stands above a group, and its (rows, columns, Y, X) images; as many rows, and images
        of the same size, in each.
    rows : sequence of str
        What stands before each row.
    limits : (black, white), optional
        Counts; by default all but 0.2 % of the pixels at either end lie between them.

    Returns
    -------
    bytes
        8-bit grey; one pixel of the image is one of the picture, or more if the images are small.

    Raises
    ------
    ValueError
        If there is nothing to show, or the groups do not fit.
    """
    shapes = {(images.shape[0], *images.shape[2:]) for images in groups.values()}
    if len(shapes) != 1 or next(iter(shapes))[0] != len(rows) or 0 in next(iter(shapes)):
        raise ValueError(f"Groups of {[g.shape for g in groups.values()]} are no {len(rows)} rows.")
    _, height, width = next(iter(shapes))
    zoom = max(1, -(-LEAST_PX // min(height, width)))
    height, width = zoom * height, zoom * width
    black, white = contrast(list(groups.values())) if limits is None else limits
    font = ImageFont.load_default(int(np.clip(width / 9, 16, 40)))
    line = font.getbbox("Ag")[3] + 2 * GAP_PX
    left = max(int(font.getlength(row)) for row in rows) + 4 * GAP_PX
    widths = [images.shape[1] * (width + GAP_PX) for images in groups.values()]
    size = (
        left + sum(widths) + APART_PX * (len(widths) - 1) + GAP_PX,
        line + len(rows) * (height + GAP_PX),
    )
    sheet = Image.new("L", size, 255)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        middle = line + number * (height + GAP_PX) + height // 2
        draw.text((2 * GAP_PX, middle), row, fill=0, font=font, anchor="lm")
    for (title, images), wide in zip(groups.items(), widths, strict=True):
        draw.text((left, line // 2), title, fill=0, font=font, anchor="lm")
        for number, row_of_images in enumerate(images):
            top = line + number * (height + GAP_PX)
            for column, image in enumerate(row_of_images):
                panel = Image.fromarray(grey(image, black, white).repeat(zoom, 0).repeat(zoom, 1))
                sheet.paste(panel, (left + column * (width + GAP_PX), top))
        left += wide + APART_PX
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def contrast(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Black and white that suit images of any shape."""
    pixels = np.concatenate([image.ravel() for image in images])
    low, high = np.quantile(pixels, [QUANTILE, 1 - QUANTILE])
    return float(low), float(high)


def grey(image: np.ndarray, black: float, white: float) -> np.ndarray:
    """8-bit grey values, of the same shape."""
    share = (image - black) / max(white - black, 1e-12)
    return np.asarray(np.rint(255 * np.clip(share, 0, 1)), dtype=np.uint8)
