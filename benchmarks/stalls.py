"""Does the window stall while it trains and restores? Gaps of a real window's event loop.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/stalls.py --minutes 1

A timer fires every 5 ms in a napari window; the time between two of its ticks, less 5 ms, is how long
the window was deaf. Train and Restore docks work on a stack as a user would have it, with their buttons.
For every phase: the 99th percentile and the longest gap, and the longest that the main thread itself
computed in one, which is not longer because other programs use the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

TICK_MS = 5


class Gaps:
    """Records how long the event loop took between two ticks."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_tick)
        self.clear()
        self._timer.start(TICK_MS)

    def clear(self) -> None:
        """Forget what was recorded."""
        self.wall_ms: list[float] = []
        self.own_ms: list[float] = []
        self._last = time.perf_counter(), time.thread_time()

    def _on_tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.wall_ms.append(1e3 * (now[0] - self._last[0]) - TICK_MS)
        self.own_ms.append(1e3 * (now[1] - self._last[1]))
        self._last = now

    def report(self, phase: str) -> None:
        """Print a line and begin anew."""
        wall = np.array(self.wall_ms or [0.0])
        over = int((wall > 100).sum())
        own = max(self.own_ms, default=0.0)
        print(
            f"  {phase:28} {len(wall):6d} ticks   99 %: {np.percentile(wall, 99):6.1f} ms   longest: "
            f"{wall.max():7.1f} ms ({over} over 100 ms)   own longest: {own:6.1f} ms",
            flush=True,
        )
        self.clear()


class Watcher:
    """Prints where the main thread is when it does not tick for long."""

    def __init__(self, gaps: Gaps, over_ms: float) -> None:
        import threading

        self._gaps, self._over = gaps, over_ms / 1e3
        self._main = threading.main_thread().ident
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        told: float | None = None
        while True:
            time.sleep(0.02)
            last = self._gaps._last[0]
            if time.perf_counter() - last > self._over and told != last:
                told = last
                frame = sys._current_frames().get(self._main)
                if frame is not None:
                    lines = traceback.extract_stack(frame)[-8:]
                    where = " < ".join(
                        f"{Path(f.filename).name}:{f.lineno}" for f in reversed(lines)
                    )
                    print(f"    deaf in {where}", flush=True)


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let the window live, in an event loop as napari's own."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end = QEventLoop(), time.monotonic() + seconds
    look = QTimer()
    look.timeout.connect(lambda: loop.quit() if until() or time.monotonic() > end else None)
    look.start(50)
    loop.exec()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="of training")
    parser.add_argument("--planes", type=int, default=20)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--where", action="store_true", help="print where it was deaf over 100 ms")
    arguments = parser.parse_args()
    os.environ["NAPARI_HDN_MODELS"] = tempfile.mkdtemp()

    import napari

    from napari_hdn.ui.session import session_of

    rng = np.random.default_rng(0)
    y, x = np.indices((arguments.side, arguments.side)) / 16
    clean = 60 + 50 * np.sin(x) * np.cos(y)
    stack = rng.poisson(np.broadcast_to(clean, (arguments.planes, *clean.shape))) * 2.0
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1560, 980)
    session = session_of(viewer)
    viewer.add_image(stack.astype(np.uint16), name="cells")
    gaps = Gaps()
    if arguments.where:
        Watcher(gaps, 100)
    wait(5)
    gaps.report("idle")
    _, train = viewer.window.add_plugin_dock_widget("napari-hdn", "Train HDN")
    wait(3)
    gaps.report("opening Train")
    train.duration.setValue(arguments.minutes)
    train.train.click()
    wait(600, lambda: session.job is not None and session.job.fraction is not None)
    gaps.report("reading, estimating noise")
    wait(60 * arguments.minutes + 600, lambda: session.job is None or not session.job.running)
    gaps.report("training")
    wait(3)
    gaps.report("after training")
    _, restore = viewer.window.add_plugin_dock_widget("napari-hdn", "Restore images")
    wait(3)
    gaps.report("opening Restore")
    wait(60, lambda: session.model is not None)
    for box in restore.outputs.findChildren(_check_box()):
        if "deviation" in box.text().lower():
            box.setChecked(True)
    restore.samples.setValue(arguments.samples)
    wait(1)
    gaps.report("choosing outputs")
    restore.restore.click()
    wait(5)
    gaps.report("the first seconds")
    wait(3600, lambda: session.job is None or not session.job.running)
    gaps.report("restoring")
    wait(3)
    gaps.report("after restoring")
    print("  layers:", ", ".join(layer.name for layer in viewer.layers))
    viewer.close()


def _check_box() -> type:
    from qtpy.QtWidgets import QCheckBox

    return QCheckBox


if __name__ == "__main__":
    main()
