import pytest

from napari_hdn.core.direct import folder as folders
from napari_hdn.core.direct.choice import choose_direct
from napari_hdn.core.errors import ConfigurationError, ModelFolderError
from taught import direct_of


def test_the_first_that_fits_is_taken(model, tmp_path):
    places = [
        folders.save(direct_of(model, levels_off=(1,)), tmp_path / "a"),
        folders.save(direct_of(model, learns="median"), tmp_path / "b"),
        folders.save(direct_of(model), tmp_path / "c"),
    ]
    assert choose_direct(model, places, ()).folder == places[1]
    assert choose_direct(model, places, (), "mean").folder == places[2]
    assert choose_direct(model, places, (1,)).folder == places[0]
    (places[1] / "direct.json").write_text("{")
    assert choose_direct(model, places, ()).folder == places[2]


def test_why_none_fits_is_told(model, tmp_path):
    with pytest.raises(ConfigurationError, match=r"has no direct network yet.*distil"):
        choose_direct(model, [], ())
    place = folders.save(direct_of(model), tmp_path / "a")
    with pytest.raises(ConfigurationError, match="taught with no level off, but level 1 shall be"):
        choose_direct(model, [place], (1,))
    with pytest.raises(ConfigurationError, match="no direct network of the median"):
        choose_direct(model, [place], (), "median")
    (place / "direct.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"direct.safetensors is missing"):
        choose_direct(model, [place], ())
