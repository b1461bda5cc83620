"""``python manage.py tandem``: everything in one command; what ``make run`` runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp import embedded


class Command(BaseCommand):
    help = "Run web server, worker, scheduler and simulated tiers in one go (embedded mode)."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="stop when the process that started it is gone, however it ended (Linux)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["with_parent"]:
            embedded.stop_with_parent()
        if settings.REDIS_URL:
            raise CommandError(
                "REDIS_URL is set: start the web server (uvicorn webapp.asgi:application) and the"
                " workers (celery -A webapp worker) separately, or unset it."
            )
        embedded.run(say=self._say)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
