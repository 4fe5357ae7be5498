"""A progress bar that says how long it will still take."""

from __future__ import annotations

import math

from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_hdn.ui.diagnostics import copy_diagnostics
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.forms import Hint


def spoken_time(seconds: float) -> str:
    """Seconds as a person would say them: ``40 s``, ``3 min 20 s``, ``2 h 05 min``."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


class Progress(QWidget):
    """The state of a job: how far, how long still, and one line about it."""

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(True)
        self.bar.setMinimumHeight(20)
        self.line = Hint()
        self.diagnostics = QPushButton("Copy diagnostics")
        self.diagnostics.setToolTip(
            "Copy what a bug report needs: versions, computer, settings, this job, the end of the log"
        )
        self.diagnostics.clicked.connect(copy_diagnostics)
        layout.addWidget(self.bar)
        layout.addWidget(self.line)
        layout.addWidget(self.diagnostics)
        self.show_job(None)

    def show_job(self, job: Job | None) -> None:
        """Show a job, running or over."""
        self.diagnostics.setVisible(job is not None and job.failed)
        if job is None:
            self.bar.setRange(0, 1000)
            self.bar.setValue(0)
            self.bar.setFormat("ready")
            self.line.say("")
            return
        if job.running and job.fraction is None:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * (job.fraction or 0)))
        left = ""
        known = job.remaining_s is not None and math.isfinite(job.remaining_s)
        if job.running and known and not job.stop.requested:
            left = f" – {spoken_time(job.remaining_s)} left"
        self.bar.setFormat(f"%p %{left}")
        self.line.say(job.status, warning=job.failed)
