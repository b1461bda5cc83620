"""``python manage.py reap``: wake workers up for runs that nobody works on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from webapp.runs.tasks import reap


class Command(BaseCommand):
    help = "Send a message for every run whose lease has expired or whose message got lost."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{reap()} runs woken up")
