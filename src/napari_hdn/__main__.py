"""``python -m napari_hdn`` is the command ``napari-hdn``."""

import sys

from napari_hdn.cli import main

if __name__ == "__main__":
    sys.exit(main())
