"""What is sent does not tell where things lie on the sender's computer."""

import json
from pathlib import Path

from napari_hdn.io.sharing.places import without_places


def sent(data):
    return json.loads(without_places(json.dumps(data).encode()))


def test_paths_of_any_system_become_names():
    assert sent(
        {
            "path": "/home/ada/cells/A 1.tif",
            "noise": {"path": "C:\\Users\\Grace\\noise.npz"},
            "more": ["\\\\server\\lab\\Müller\\b.zarr", "/data/c.nd2", "../near/d.tif", "e.tif"],
        }
    ) == {
        "path": "A 1.tif",
        "noise": {"path": "noise.npz"},
        "more": ["b.zarr", "c.nd2", "../near/d.tif", "e.tif"],
    }


def test_paths_in_sentences():
    home = Path.home()
    data = {
        "path": "/data/ada/x.tif",
        "told": f"from /data/ada/x.tif, see {home}/notes, raw/data/ada/x.tif",
        "units": 'counts/s or s/px, 1/2 \\ and "quotes"',
    }
    assert sent(data) == {
        "path": "x.tif",
        "told": "from x.tif, see ~/notes, raw/data/ada/x.tif",
        "units": data["units"],
    }


def test_all_else_keeps_its_bytes():
    content = b'{\n "a": [0.1000, 1e-7],"slash": "/", "quote": "\\"/x", "u": "\\u00fc"}\n'
    assert without_places(content) == content
    with_path = content.replace(b'"/"', b'"/home/ada/x"')
    assert without_places(with_path) == content.replace(b'"/"', b'"x"')
    assert without_places(b'{"damaged": "/x/y') == b'{"damaged": "/x/y'
