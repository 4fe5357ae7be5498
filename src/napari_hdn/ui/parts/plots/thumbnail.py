"""Small pictures of image pieces, in grey."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QWidget

CROP_PX = 128  # of the piece that is shown: a fine pattern does not survive being made small
Limits = tuple[float, float]


def middle_of(image: np.ndarray, side: int = CROP_PX) -> np.ndarray:
    """The middle of a (Y, X) image, at most ``side`` pixels each way."""
    parts = []
    for n in image.shape[-2:]:
        length = min(side, n)
        start = (n - length) // 2
        parts.append(slice(start, start + length))
    return image[..., parts[0], parts[1]]


def limits_of(image: np.ndarray, share: float = 99.5) -> Limits:
    """Contrast limits that leave out a few extreme pixels."""
    low, high = (float(v) for v in np.percentile(image, (100 - share, share)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


class Thumbnail(QWidget):
    """A (Y, X) picture in a square.

    Parameters
    ----------
    side : int
        Of the square, in pixels of the screen.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self._image: QImage | None = None
        self.picture: np.ndarray | None = None  # as it was given
        self.limits: Limits = (0.0, 1.0)
        self.setFixedSize(side, side)

    def show_picture(self, picture: np.ndarray | None, limits: Limits | None = None) -> None:
        """Draw a picture between ``limits``, its own if not given; or nothing."""
        self.picture = picture
        if picture is None:
            self._image = None
            self.update()
            return
        low, high = self.limits = limits_of(picture) if limits is None else limits
        grey = np.clip((picture - low) / max(high - low, 1e-12), 0, 1) * 255
        pixels = np.ascontiguousarray(np.rint(grey), dtype=np.uint8)
        height, width = pixels.shape
        grey_image = QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8)
        self._image = grey_image.copy()  # the array's memory goes
        self.update()

    def paintEvent(self, event: object) -> None:
        """Draw the picture as large as fits."""
        painter = QPainter(self)
        if self._image is None:
            painter.fillRect(self.rect(), QColor(128, 128, 128, 40))
            painter.end()
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        fitted = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - fitted.width()) / 2, (self.height() - fitted.height()) / 2
        painter.drawImage(QRectF(left, top, fitted.width(), fitted.height()), self._image)
        painter.end()
