"""The entry point of `python -m pipeline`; what it can do is in `cli.py`."""

import sys

from pipeline.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
