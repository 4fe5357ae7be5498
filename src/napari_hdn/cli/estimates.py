"""The first line before the work: what it will take."""

from __future__ import annotations

from collections.abc import Callable

from napari_hdn.api import Estimate, HDNError
from napari_hdn.cli.terminal import Progress


def tell(
    find_out: Callable[[], Estimate | None], progress: Progress, *, only: bool, remark: str = ""
) -> None:
    """Say what a job will take, and where it will not fit.

    Parameters
    ----------
    find_out : callable
        Gives the estimate. Errors are the job's to tell, unless there is none.
    progress : Progress
    only : bool
        Whether no job follows.
    remark : str
        What it is told of.
    """
    try:
        estimate = find_out()
    except HDNError:
        if only:
            raise
        return
    if estimate is None:
        return
    words = estimate.in_words()
    told = f"{words} {remark}".rstrip() if remark else words
    progress.say(f"{told[:1].upper()}{told[1:]}.")
    if estimate.warning:
        progress.say(f"Warning: {estimate.warning}")
