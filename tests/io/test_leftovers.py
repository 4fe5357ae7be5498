import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_hdn.io.leftovers import remove_leftovers
from napari_hdn.io.ome_tiff import OmeTiffWriter


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path):
    program = (
        "import os, pathlib\n"
        "from napari_hdn.io.ome_tiff import OmeTiffWriter\n"
        f"path = pathlib.Path({str(tmp_path)!r}) / 'a_hdn-mean.ome.tif'\n"
        "OmeTiffWriter(path, (2, 20, 30), 'TYX', 'float32').__enter__()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".a_hdn-mean.ome.tif.")
    assert remove_leftovers(tmp_path, "a_hdn") == []  # perhaps of a version that holds no lock
    others = [tmp_path / name for name in ("a_hdn-mean.ome.tif", ".a_hdn-mean.tmp", ".b_hdn-x.tmp")]
    for other in others:
        other.write_bytes(b"precious")
    with OmeTiffWriter(tmp_path / "a_hdn-std.ome.tif", (2, 20, 30), "TYX", "f4") as writer:
        for path in tmp_path.iterdir():
            os.utime(path, (1e9, 1e9))
        assert remove_leftovers(tmp_path, "a_hdn") == [left]
        for index in range(2):
            writer.write((index,), np.ones((20, 30), np.float32))
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a_hdn-std.ome.tif"])
    assert remove_leftovers(tmp_path / "missing", "a_hdn") == []
