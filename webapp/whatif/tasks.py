"""Celery tasks of what-ifs."""

from __future__ import annotations

from celery import shared_task

from webapp.whatif import services


@shared_task(name="whatif.answer")  # type: ignore[untyped-decorator]
def answer(what_if_id: int) -> bool:
    """Answer a question if nobody else does."""
    return services.answer(what_if_id)


@shared_task(name="whatif.tick")  # type: ignore[untyped-decorator]
def tick() -> None:
    """Send for answers that lost hints and dead workers have left behind."""
    for what_if_id in services.left_behind():
        services.enqueue(what_if_id)
