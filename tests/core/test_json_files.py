import pytest

from napari_hdn.core.json_files import parse_object, read_object


def test_an_object_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, "µ", null]}', encoding="utf-8")
    assert read_object(tmp_path / "a.json") == {"a": [1, 2.5, "µ", None]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": NaN}', "NaN, which is no number"),
        ('{"a": -Infinity}', "-Infinity, which is no number"),
        ('{"a": 1e999}', "1e999, which is too large"),
        ('{"a": ' + "1" * 10_000 + "}", "integer string conversion"),
        ("[1]", "not a JSON object"),
        ('{"a": 1', "delimiter"),
    ],
)
def test_what_is_none_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_object(text.encode())


def test_no_more_is_read_than_may_be(tmp_path):
    path = tmp_path / "large.json"
    path.write_text('{"a": "' + "x" * 2000 + '"}')
    assert len(read_object(path, 3000)["a"]) == 2000
    with pytest.raises(ValueError, match="larger than"):
        read_object(path, 1000)


def test_bytes_that_are_no_text():
    with pytest.raises(ValueError, match="utf-8"):
        parse_object(b"\xff\xfe{}")
