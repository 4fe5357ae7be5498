from pathlib import Path

import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.disk import check_room


def test_too_little_room_is_told_with_numbers(tmp_path: Path):
    with pytest.raises(OutputError, match=r"samples needs 1000000\.00 GB, but only .* are free in"):
        check_room(tmp_path / "not" / "there", 10**15, "samples")
    check_room(tmp_path / "not" / "there", 10, "samples")
    assert not (tmp_path / "not").exists()
