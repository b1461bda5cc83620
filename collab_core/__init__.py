"""The method: agents that run over a ladder of model tiers, on one append-only event log.

Usable without Django: ``python -m collab_core run "question" --help``.
"""

from __future__ import annotations

__version__ = "0.1.0"
