"""``python -m collab_core``: run, make-world, index, simulate-tiers."""

from __future__ import annotations

import sys

from collab_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
