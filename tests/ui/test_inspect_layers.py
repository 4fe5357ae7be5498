"""The layers of the level inspector: whose they are, where they lie, and what is kept of them."""

from dataclasses import replace

import numpy as np
import pytest

from inspecting import by_product, settled
from napari_hdn.core.artefacts import Structure
from napari_hdn.ui.parts.removed import structure_in_words


def correlated(reach_x, reach_y):
    return Structure("differences", np.eye(5), 0.01, reach_y, reach_x, 1.0, 10.0, "structured")


def test_lines_are_told_from_what_may_be_structure():
    lines = structure_in_words(correlated(9, 1))
    assert "along x over 9 px and along y over 1 px: lines along x" in lines
    assert "lines along y" in structure_in_words(correlated(0, 3))
    blobs = structure_in_words(correlated(9, 3))
    assert "look whether it shows structures" in blobs
    assert "lines" not in blobs
    assert not any("stay on" in words for words in (lines, blobs))


def test_the_slider_shows_the_level(inspected, session, viewer, until_free):
    inspected.contributions.click()
    layer = by_product(viewer, "contributions")
    whole = session.inspected.inspection.decomposition
    assert viewer.dims.current_step[0] == 1  # level 1 first, not the remainder
    for level in (1, 2, 3):
        viewer.dims.set_current_step(0, level)
        at = tuple(int(v) for v in np.round(layer.world_to_data(viewer.dims.point))[:1])
        assert at == (level,)
        np.testing.assert_array_equal(layer.data[at][0], whole.contributions[level - 1])
    np.testing.assert_allclose(layer.data.sum(axis=0)[0], whole.image, rtol=1e-5)
    inspected.drawn.draw.click()
    until_free()
    inspected.drawn.as_layers.click()
    drawn = by_product(viewer, "drawn")
    for level in (1, 2, 3):
        viewer.dims.set_current_step(1, level)
        sample, at = (int(v) for v in np.round(drawn.world_to_data(viewer.dims.point))[:2])
        assert at == level
        np.testing.assert_array_equal(
            drawn.data[sample, at, 0], session.drawn.images[level - 1, sample]
        )
