"""``python manage.py add_weights``: weights trained on the command line become a workspace's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from collab_core.errors import InvalidInput
from collab_core.learned.store import MANIFEST
from webapp.learning.weights import adopt, adopt_published
from webapp.teams.models import Workspace


class Command(BaseCommand):
    help = (
        "Copy weights to a workspace: a folder that `python -m collab_core train` has made, or a "
        "published classifier (config.json, *.safetensors)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--workspace", default="Demo", help="its name (default %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(name=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        try:
            folder: Path = options["folder"]
            ours = (folder / MANIFEST).is_file()
            weights = (
                adopt(workspace, folder, user=None) if ours else adopt_published(workspace, folder)
            )
        except InvalidInput as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error
        self.stdout.write(f"{weights.reference}: {weights.kind} {weights.tiers}".rstrip())
