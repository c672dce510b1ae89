"""The program: `python -m crosprov.mirror COMMAND …`."""

from __future__ import annotations

import sys

from crosprov.mirror.console import main

if __name__ == "__main__":
    sys.exit(main())
