import os

from napari_hdn.core.text import readable


def test_bytes_that_are_no_text_are_marked_and_others_are_left():
    assert readable("Größe µ 细胞 😀") == "Größe µ 细胞 😀"
    given = os.fsdecode(b"caf\xe9.tif") if os.name != "nt" else "caf\udce9.tif"
    assert readable(given) == "caf\N{REPLACEMENT CHARACTER}.tif"
    readable("a lone \ud800 of Windows").encode()
