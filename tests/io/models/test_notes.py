import pytest

from napari_hdn.core.errors import ModelFolderError, OutputError
from napari_hdn.io.models.notes import read_notes, write_notes


def test_notes_there_and_back(tmp_path):
    assert read_notes(tmp_path) == ""
    write_notes(tmp_path, "Für Ada:\n20 °C", "")
    assert read_notes(tmp_path) == "Für Ada:\n20 °C"
    assert (tmp_path / "notes.txt").read_bytes() == "Für Ada:\n20 °C".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_what_another_program_wrote_is_not_lost(tmp_path):
    write_notes(tmp_path, "mine", "")
    (tmp_path / "notes.txt").write_text("theirs")
    with pytest.raises(ModelFolderError, match="changed in another window or program"):
        write_notes(tmp_path, "mine, longer", "mine")
    assert read_notes(tmp_path) == "theirs"


def test_a_full_disk_leaves_the_old_notes(tmp_path, monkeypatch):
    write_notes(tmp_path, "old", "")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match=r"not saved: No space left .* unchanged"):
        write_notes(tmp_path, "new", "old")
    assert read_notes(tmp_path) == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a" * (2**20 + 1)])
def test_what_are_no_notes(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"notes\.txt of .* cannot be read"):
        read_notes(tmp_path)
    with pytest.raises(ModelFolderError, match="cannot be read"):
        write_notes(tmp_path, "new", "")
    assert (tmp_path / "notes.txt").read_bytes() == content


def test_notes_on_a_model_that_is_gone(tmp_path):
    with pytest.raises(ModelFolderError, match="renamed or deleted"):
        write_notes(tmp_path / "gone", "new", "")
    with pytest.raises(OutputError, match="longer than 1 MB"):
        write_notes(tmp_path, "a" * (2**20 + 1), "")
