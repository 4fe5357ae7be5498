"""Where the user looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def camera_of(viewer: Any) -> Any:
    """The camera, which belongs to the scene since napari 0.9."""
    return getattr(viewer, "scene", viewer).camera


@contextmanager
def camera_kept(viewer: Any) -> Iterator[None]:
    """Layers may be added and the user still looks at the same place.

    napari shows everything anew where a layer brings an axis; what fills an empty viewer may do so.
    """
    camera, filled = camera_of(viewer), len(viewer.layers) > 0
    seen = camera.center, camera.zoom, camera.angles
    try:
        yield
    finally:
        if filled:
            camera.center, camera.zoom, camera.angles = seen
