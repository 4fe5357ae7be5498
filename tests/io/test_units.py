import pytest

from napari_hdn.io.units import micrometres, positive, seconds


@pytest.mark.parametrize(
    ("unit", "value"),
    [("µm", 1), ("μm", 1), ("Micrometers", 1), ("micrometre", 1), ("nm", 1e-3), ("Å", 1e-4),
     ("pixel", None), ("", None), (None, None), (3, None), ("s", None)],
)  # fmt: skip
def test_lengths(unit, value):
    assert micrometres(unit) == value


@pytest.mark.parametrize(
    ("unit", "value"), [("s", 1), ("sec", 1), ("Milliseconds", 1e-3), ("h", 3600), ("m", None)]
)
def test_times(unit, value):
    assert seconds(unit) == value


@pytest.mark.parametrize("bad", ["nan", float("inf"), 0, -1, None, "wide", [], 10**400])
def test_sizes_that_are_none(bad):
    assert positive(bad) is None
    assert positive(2, None) is None
    assert positive("2", 0.5) == 1
