"""What a run's warm-ups cost and saved, read from its log when somebody asks for it."""

from __future__ import annotations

from collab_core.events import decode_body
from collab_core.prefill import WarmPrefill, warm_prefill
from webapp.runs.models import Run, RunEvent


def warm_account(run: Run) -> WarmPrefill | None:
    """Return the account so far; None if the run warms nothing, and then nothing is read."""
    if run.parameters.get("warm_prefill", "off") == "off":
        return None
    rows = RunEvent.objects.filter(run=run, type__in=("run.queued", "model.replied"))
    bodies = rows.order_by("seq").values_list("body", flat=True)
    return warm_prefill(decode_body(body) for body in bodies.iterator())
