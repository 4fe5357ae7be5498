"""What a job had to say, newest last."""

from __future__ import annotations

import html

from qtpy.QtWidgets import QSizePolicy, QTextEdit

from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.theme import warning_colour


class Notices(QTextEdit):
    """A read-only text; warnings stand out."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFixedHeight(92)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setPlaceholderText("What happens is told here.")
        self._lines: list[str] = []

    def show_job(self, job: Job | None) -> None:
        """Show the notices of a job."""
        lines = []
        for notice in job.notices if job is not None else []:
            text = html.escape(notice.text)
            if notice.severity == "warning":
                text = f'<span style="color:{warning_colour()}">{text}</span>'
            lines.append(text)
        if lines != self._lines:
            self._lines = lines
            self.setHtml("<br>".join(lines))
            bar = self.verticalScrollBar()
            bar.setValue(bar.maximum())
