"""Who runs the next step: pure state machines, one file each."""

from __future__ import annotations

from collab_core.policies.base import CacheState, Policy, StepContext

__all__ = ["CacheState", "Policy", "StepContext"]
