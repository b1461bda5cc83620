"""Who acts in the tests: two workspaces and the people of the first."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.test import Client

from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.domain import ToolCall, Usage
from webapp.runs import services
from webapp.runs.models import Collection, Run
from webapp.teams.models import Membership, Role, Token, User, Workspace
from webapp.tiers.models import Endpoint, Ladder, Rung

ROLES = {
    "alice": Role.OWNER,
    "bob": Role.MEMBER,
    "rita": Role.REVIEWER,
    "vera": Role.VIEWER,
}
PEOPLE = (*ROLES, "charlie")


@dataclass
class Room:
    workspace: Workspace
    other: Workspace
    """Charlie's."""
    users: dict[str, User]
    ladder: Ladder

    def client(self, name: str) -> Client:
        client = Client()
        client.force_login(self.users[name], backend="django.contrib.auth.backends.ModelBackend")
        return client

    def bearer(self, name: str) -> dict[str, str]:
        _, secret = Token.objects.issue(self.users[name], "test")
        return {"HTTP_AUTHORIZATION": f"Bearer {secret}"}

    def submission(self, **changes: Any) -> services.Submission:
        fields: dict[str, Any] = {
            "question": "What is six times seven?",
            "strategies": [("agentcollab", {})],
            "ladder": self.ladder,
            "seed": 7,
        }
        return services.Submission(**(fields | changes))

    def submit(self, **changes: Any) -> Run:
        return services.submit(self.workspace, self.users["alice"], self.submission(**changes))[0]


def make_ladder(workspace: Workspace, *, tiers: int = 2, simulated: bool = False) -> Ladder:
    """Return a ladder of endpoints at an address where nothing listens."""
    ladder = Ladder.objects.create(workspace=workspace, name=f"ladder-{uuid.uuid4().hex[:6]}")
    for position in range(tiers):
        endpoint = Endpoint.objects.create(
            workspace=workspace,
            name=f"{ladder.name}-{position}",
            base_url="http://127.0.0.1:1/v1",
            model=f"model-{position}",
            price_input_usd=1.0,
            price_output_usd=2.0,
            simulated=simulated,
        )
        Rung.objects.create(
            ladder=ladder, endpoint=endpoint, position=position, tier_name=f"tier{position}"
        )
    return ladder


def make_room() -> Room:
    workspace = Workspace.objects.create(name="Room")
    other = Workspace.objects.create(name="Elsewhere")
    users = {name: User.objects.create_user(name) for name in PEOPLE}
    for name, role in ROLES.items():
        Membership.objects.create(workspace=workspace, user=users[name], role=role)
    Membership.objects.create(workspace=other, user=users["charlie"], role=Role.OWNER)
    return Room(workspace, other, users, make_ladder(workspace))


def make_collection(room: Room, name: str = "docs") -> Collection:
    return Collection.objects.create(
        workspace=room.workspace, name=name, title="Docs", index_file=f"{name}.sqlite3"
    )


def step_reply(progress: int = 1) -> ModelReply:
    """One step of the agent: a thought, a verdict, a tool call."""
    return ModelReply(
        text="I compute. <progress><rationale>because</rationale>"
        f"<indicator>{progress}</indicator></progress>",
        tool_calls=(ToolCall(id="c1", name="calculator", arguments='{"expression": "6*7"}'),),
        finish_reason="tool_calls",
        usage=Usage(input_tokens=100, output_tokens=20),
    )


def answer_reply(text: str = "42") -> ModelReply:
    return ModelReply(
        text=f"<answer>{text}</answer>", usage=Usage(input_tokens=120, output_tokens=8)
    )


class Script:
    """A backend that answers each request by its number of messages: so a run that is resumed, or
    several at once, get what they would have got. The last reply ends the run."""

    def __init__(self, replies: Sequence[ModelReply], *, gate: Any = None) -> None:
        self.replies = replies
        self.gate = gate
        self.requests = 0

    async def complete(self, request: ModelRequest, on_delta: Any = None) -> ModelReply:
        self.requests += 1
        if self.gate is not None:
            await self.gate(request, on_delta)
        step = sum(1 for m in request.transcript.messages if m["role"] == "assistant")
        return self.replies[min(step, len(self.replies) - 1)]

    async def aclose(self) -> None:
        return
