"""What several commands share: exit codes and choices of options."""

from __future__ import annotations

from typing import Literal

OK, INCOMPLETE, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
LOST = 3  # of one of several processes, when another has ended

Device = Literal["auto", "cpu", "cuda", "mps"]
