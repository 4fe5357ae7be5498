"""How long a user waits: importing the package, finding the plugin, opening each dock.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/startup.py

Every figure is the median over fresh interpreters. Docks are opened in a shown viewer that holds the
sample image; a dock counts as open once Qt has drawn it. torch may not be loaded by then: the last
column says whether it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

IMPORT = """
import json, sys, time
began = time.perf_counter()
import {module}
print(json.dumps([time.perf_counter() - began, "torch" in sys.modules]))
"""

DOCK = """
import json, sys, time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
viewer.open_sample("napari-hdn", "cells_with_stripes")
for _ in range(20):
    QApplication.processEvents()
began = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-hdn", {name!r})
QApplication.processEvents()
print(json.dumps([time.perf_counter() - began, "torch" in sys.modules]), flush=True)
viewer.close()
"""


def measure(label: str, script: str, repeats: int) -> None:
    """Print one row."""
    rows = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = statistics.median(row[0] for row in rows)
    print(f"{label:28s} {seconds:6.3f} s   torch loaded: {any(row[1] for row in rows)}", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    measure("import napari_hdn", IMPORT.format(module="napari_hdn"), repeats)
    measure("import napari_hdn.api", IMPORT.format(module="napari_hdn.api"), repeats)
    for name in ("Train HDN", "Restore images"):
        measure(f"open dock {name}", DOCK.format(name=name), repeats)


if __name__ == "__main__":
    main()
