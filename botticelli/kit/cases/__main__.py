"""``python -m botticelli.kit.cases [FOLDER]``: check the case files."""

from __future__ import annotations

import sys

from botticelli.kit.cases.case import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
