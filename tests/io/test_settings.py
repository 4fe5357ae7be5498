"""The file of settings: written whole, read whatever is in it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from napari_hdn.core.errors import OutputError
from napari_hdn.core.settings import Settings, in_force, put_in_force
from napari_hdn.io.models.library import models_folder
from napari_hdn.io.settings import load_settings, save_settings, settings_path, take_over_settings


def test_settings_come_back_as_they_were(tmp_path):
    chosen = Settings(
        device="cpu",
        threads=2,
        tile_px=256,
        memory_limit_gb=1.5,
        models_folder=tmp_path / "Zellen µ",
    )
    assert load_settings() == (Settings(), "")  # nothing saved yet
    assert save_settings(Settings()) == save_settings(chosen) == settings_path()
    assert load_settings() == (chosen, "")
    assert [p.name for p in settings_path().parent.iterdir()] == ["settings.json"]
    assert take_over_settings() == "" and in_force() == chosen


def test_the_usual_place_is_among_the_users_settings(monkeypatch):
    monkeypatch.delenv("NAPARI_HDN_SETTINGS")
    assert settings_path().parts[-2:] == ("napari-hdn", "settings.json")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"threads": 2}x']
)
def test_a_damaged_file_is_told_and_the_usual_settings_hold(content):
    settings_path().write_bytes(content)
    settings, remark = load_settings()
    assert settings == Settings() and str(settings_path()) in remark and "cannot be read" in remark


def test_of_a_half_wrong_file_the_right_half_holds():
    settings_path().write_text('{"threads": 2, "device": "tpu", "later": 1, "schema_version": 9}')
    settings, remark = load_settings()
    assert settings == Settings(threads=2)
    assert "device = 'tpu'" in remark and "later = 1" in remark and "schema_version" not in remark


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@trials(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(list(Settings.model_fields)), _anything))
def test_no_content_stops_the_program(values):
    import json

    settings_path().write_text(json.dumps(values))
    settings, _ = load_settings()
    assert Settings.model_validate(settings.model_dump()) == settings


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="anybody may write")
def test_no_permission_is_told(monkeypatch, tmp_path):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("NAPARI_HDN_SETTINGS", str(tmp_path / "a" / "settings.json"))
    with pytest.raises(OutputError, match="could not be saved"):
        save_settings(Settings())


def test_a_file_in_the_way_is_told(monkeypatch, tmp_path):
    (tmp_path / "a").write_text("")
    monkeypatch.setenv("NAPARI_HDN_SETTINGS", str(tmp_path / "a" / "settings.json"))
    with pytest.raises(OutputError, match="could not be saved"):
        save_settings(Settings())
    assert load_settings()[0] == Settings()


def test_models_are_kept_where_it_is_set(monkeypatch, tmp_path):
    put_in_force(Settings(models_folder=tmp_path / "mine"))
    assert models_folder() == Path(os.environ["NAPARI_HDN_MODELS"])  # the environment wins
    monkeypatch.delenv("NAPARI_HDN_MODELS")
    assert models_folder() == tmp_path / "mine"
