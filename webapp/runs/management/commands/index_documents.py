"""``python manage.py index_documents``: a folder of documents becomes a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug

from collab_core.errors import InvalidInput
from collab_core.tools.commands import remarks
from webapp.seeding import index_into, load_tasks_into
from webapp.teams.models import Workspace


class Command(BaseCommand):
    help = "Index a folder of .txt, .md and .html files as a document collection of a workspace."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="short name: letters, digits, - and _")
        parser.add_argument("folder", type=Path)
        parser.add_argument("--workspace", default="Demo", help="its name (default %(default)s)")
        parser.add_argument("--title", default="", help="what people see (default: the name)")
        parser.add_argument("--tasks", type=Path, help="a tasks.jsonl with sample questions")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        workspace = Workspace.objects.filter(name=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        try:
            validate_slug(name)
            collection, report = index_into(
                workspace, name=name, title=options["title"] or name, source=options["folder"]
            )
            tasks = load_tasks_into(collection, options["tasks"]) if options["tasks"] else 0
        except ValidationError as error:
            raise CommandError(
                f"The name {name!r} has other than letters, digits, - and _."
            ) from error
        except InvalidInput as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error
        for line in remarks(report):
            self.stderr.write(line)
        self.stdout.write(f"{collection.documents} documents, {tasks} tasks in {name}")
