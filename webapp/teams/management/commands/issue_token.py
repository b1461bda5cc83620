"""``python manage.py issue_token <user>``: a new personal token, printed this once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.teams.models import User
from webapp.teams.services import issue_token


class Command(BaseCommand):
    help = "Print a new personal token of a user; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--name", default="command line", help="what the token is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['user']!r}.")
        self.stdout.write(issue_token(user, options["name"][:80], by=None))
