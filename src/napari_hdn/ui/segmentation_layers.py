"""What a segmentation found, as layers in the place of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hdn.ui.camera import camera_kept, camera_of
from napari_hdn.ui.layers import METADATA_KEY, add_image, add_labels

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_hdn.ui.segmentation import Segmented


def add_segmentation(viewer: Any, found: Segmented) -> Labels:
    """Add three layers, the consensus on top; returns that.

    The labels of the samples and the confidence are added hidden: they would cover the consensus.
    """
    with camera_kept(viewer):
        return _add_all(viewer, found)


def _add_all(viewer: Any, found: Segmented) -> Labels:
    result, placement = found.result, found.placement
    agreed = result.consensus
    # a confidence of few samples is high by itself: the name says how many they are
    of = f" of {result.shortfall}" if result.stopped else ""
    add_labels(
        viewer,
        found.shaped(result.samples),
        f"{found.name} [HDN segmented {result.shortfall or 'samples'}]",
        placement.led_by(("sample",), (0.0,)),
        _identity(found, "segmented", f"S{found.axes}"),
        visible=False,
    )
    add_image(
        viewer,
        found.shaped(agreed.confidence_image()),
        f"{found.name} [HDN confidence{of}]",
        placement,
        _identity(found, "confidence", found.axes),
        visible=False,
        colormap="viridis",
        contrast_limits=(0.0, 1.0),
        blending="additive",
    )
    return add_labels(
        viewer,
        found.shaped(agreed.labels),
        f"{found.name} [HDN consensus{of}]",
        placement,
        _identity(found, "consensus", found.axes),
        opacity=0.5,
    )


def look_at(viewer: Any, found: Segmented, number: int) -> None:
    """Select an object in the layer of the consensus, and move it into the middle of the view."""
    for layer in viewer.layers:
        identity = layer.metadata.get(METADATA_KEY, {})
        if identity.get("product") != "consensus" or identity.get("run") != found.run:
            continue
        layer.selected_label = number
        y, x = found.result.centroids_px[number - 1]
        at = {"Y": y, "X": x}
        world = layer.data_to_world([at.get(a, 0) for a in found.axes])
        lead = [0.0] * (viewer.dims.ndim - layer.ndim)
        shown = [(*lead, *world)[d] for d in viewer.dims.displayed]
        camera_of(viewer).center = tuple([0.0] * (3 - len(shown)) + shown)


def _identity(found: Segmented, product: str, axes: str) -> dict[str, Any]:
    return {
        **found.identity,
        "product": product,
        "run": found.run,
        "source": found.name,
        "axes": axes,
        "piece": found.words,
        "samples": len(found.result.samples),
        "segmentation": found.config.model_dump(mode="json"),
    }
