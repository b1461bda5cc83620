"""``python manage.py create_workspace NAME --owner USER``: the first room of a new installation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from webapp.teams.audit import Action, record
from webapp.teams.models import Membership, Role, User, Workspace


class Command(BaseCommand):
    help = "Make a workspace and its first owner; owners add everybody else on the Team page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--owner", required=True, help="name of an existing account")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 1 <= len(name) <= 80:
            raise CommandError("The name of a workspace has 1 to 80 characters.")
        if Workspace.objects.filter(name=name).exists():
            raise CommandError(f"There is a workspace {name!r} already.")
        owner = User.objects.filter(username=options["owner"], is_active=True).first()
        if owner is None:
            raise CommandError(
                f"There is no active user {options['owner']!r}: make one with createsuperuser."
            )
        workspace = Workspace.objects.create(name=name)
        Membership.objects.create(workspace=workspace, user=owner, role=Role.OWNER)
        record(workspace, None, Action.WORKSPACE_CREATED, target=name)
        record(
            workspace, None, Action.MEMBER_ADDED, target=owner.username, detail={"role": Role.OWNER}
        )
        self.stdout.write(f"{owner.username} owns workspace {name}")
