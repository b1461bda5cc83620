"""Write the page's event names from the core's vocabulary."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from webapp.runs import vocabulary


class Command(BaseCommand):
    help = "Writes static/ui/js/vocabulary.js from collab_core/events.py."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        vocabulary.PATH.write_text(vocabulary.render(), encoding="utf-8")
        self.stdout.write(f"Wrote {vocabulary.PATH.name}.")
