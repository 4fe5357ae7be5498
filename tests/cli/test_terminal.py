"""What the terminal shows."""

import io
import subprocess
import sys

import pytest

from napari_hdn.cli.terminal import Progress, duration


def test_progress_rewrites_its_line_in_a_terminal_only():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(stream) as progress:
            progress.update(0.25, "step 1", 125)
            progress.update(0.5, "step 2", 8)
            progress.say("done")
    assert terminal.getvalue().count("\r") == 3
    assert "\r█████░░░░░░░░░░░░░░░  25%  2:05 min left  step 1\x1b[K" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[Kdone\n")
    assert file.getvalue() == " 25%  2:05 min left  step 1\ndone\n"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00 min"), (12_000, "3 h 20 min")]
)
def test_duration(seconds: float, said: str):
    assert duration(seconds) == said


def test_python_dash_m_is_the_same():
    command = [sys.executable, "-m", "napari_hdn", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    import napari_hdn

    assert done.stdout.strip() == napari_hdn.__version__
    command = [sys.executable, "-m", "napari_hdn", "train", "missing.tif"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "napari-hdn: There is no file or folder missing.tif.\n"
