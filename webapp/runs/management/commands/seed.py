"""``python manage.py seed``: the demo workspace, for a deployment of separate processes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from webapp.seeding import seed


class Command(BaseCommand):
    help = "Make the demo workspace: user demo, the shipped world, ladders of simulated tiers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--simulator-url",
            default="http://127.0.0.1:8009/v1",
            help="where `python -m collab_core simulate-tiers` listens (default %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        demo = seed(simulator_url=options["simulator_url"])
        self.stdout.write(f"user {demo.user.username}, password {demo.password or '(unchanged)'}")
