"""``python manage.py add_weights``: weights trained on the command line become a workspace's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from collab_core.errors import InvalidInput
from webapp.learning.weights import adopt
from webapp.teams.models import Workspace


class Command(BaseCommand):
    help = "Copy a folder that `python -m collab_core train` has made to a workspace's weights."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--workspace", default="Demo", help="its name (default %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(name=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        try:
            weights = adopt(workspace, options["folder"], user=None)
        except InvalidInput as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error
        self.stdout.write(f"{weights.reference}: {weights.kind} for {weights.tiers}")
