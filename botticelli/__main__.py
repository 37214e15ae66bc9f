"""`python -m botticelli` is the command line."""

import sys

from botticelli.cli import main

if __name__ == "__main__":
    sys.exit(main())
