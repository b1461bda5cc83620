"""The command that gives a new installation its first room."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from tests.webapp.personas import Room
from webapp.teams.models import Membership, Workspace


def test_the_named_account_owns_the_new_workspace(room: Room) -> None:
    call_command("create_workspace", "Research", owner="charlie")
    made = Membership.objects.get(workspace__name="Research")
    assert (made.user.username, made.role) == ("charlie", "owner")


@pytest.mark.parametrize(
    ("name", "owner", "says"),
    [
        ("Research", "nobody", "createsuperuser"),
        ("  ", "alice", "1 to 80"),
        ("x" * 81, "alice", "1 to 80"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    room: Room, name: str, owner: str, says: str
) -> None:
    before = Workspace.objects.count()
    with pytest.raises(CommandError, match=says):
        call_command("create_workspace", name, owner=owner)
    assert Workspace.objects.count() == before


def test_a_name_is_taken_once(room: Room) -> None:
    call_command("create_workspace", "Research", owner="alice")
    with pytest.raises(CommandError, match="already"):
        call_command("create_workspace", "Research", owner="bob")
