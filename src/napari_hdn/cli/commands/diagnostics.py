"""``napari-hdn diagnostics``."""

from __future__ import annotations

from napari_hdn import api
from napari_hdn.cli.commands.shared import OK


def diagnostics() -> int:
    """Print what a bug report needs: versions, computer, settings, last job, end of the log.

    Nothing is sent anywhere: read it, and paste it into your report. Paths in your home begin with ~.
    """
    print(api.diagnostics())
    return OK
