from __future__ import annotations

from tests.collab_core.simulator.conftest import tools, world

__all__ = ["tools", "world"]
