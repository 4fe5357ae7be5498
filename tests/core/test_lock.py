from pathlib import Path

from napari_hdn.core.lock import lock


def test_a_file_is_locked_once_until_it_is_closed(tmp_path: Path):
    held = lock(tmp_path / "lock")
    assert held is not None
    assert lock(tmp_path / "lock") is None
    held.write(b"kept")
    held.close()
    again = lock(tmp_path / "lock")
    assert again is not None and (tmp_path / "lock").read_bytes() == b"kept"
    again.close()


def test_a_file_that_was_removed_and_made_anew_is_another(tmp_path: Path):
    held = lock(tmp_path / "lock")
    (tmp_path / "lock").unlink()
    other = lock(tmp_path / "lock")
    assert other is not None and not other.closed
    held.close()
    assert lock(tmp_path / "lock") is None
    other.close()
