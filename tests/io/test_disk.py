from pathlib import Path

import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.disk import check_room, check_writable


def test_too_little_room_is_told_with_numbers(tmp_path: Path):
    with pytest.raises(OutputError, match=r"samples needs 1000000\.00 GB, but only .* are free in"):
        check_room(tmp_path / "not" / "there", 10**15, "samples")
    check_room(tmp_path / "not" / "there", 10, "samples")
    assert not (tmp_path / "not").exists()


def test_a_folder_that_takes_nothing_is_told_before_the_work(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"^A model cannot be saved: .*choose another folder"):
        check_writable(tmp_path / "file" / "deep", "A model cannot be saved")
    check_writable(tmp_path / "not" / "there", "A model cannot be saved", readable=True)
    assert not (tmp_path / "not").exists()
