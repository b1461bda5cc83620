"""The audit log: who did what in a workspace, when. Services write it in their own transaction.

Every action that may be recorded is a value of ``Action``; a new one is a line there and nothing
else. ``record`` is called beside the change, inside the same transaction, so that neither exists
without the other.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import TextChoices
from django.utils import timezone

from webapp.teams.models import AuditEntry, Membership, User, Workspace

MAX_TARGET, MAX_URL, MAX_TEXT, MAX_WORDS = 200, 300, 500, 2_000
"""Characters kept of a target, an address, one text of the detail, and of what the search sees."""
_SECRET = re.compile(r"secret|passw|digest|(?:^|_)(?:token|key)$", re.IGNORECASE)


class Action(TextChoices):
    """What can be done, in the past tense; the part before the dot is the kind of thing."""

    WORKSPACE_CREATED = "workspace.created", "Workspace created"
    SETTING_CHANGED = "setting.changed", "Setting changed"
    MEMBER_ADDED = "member.added", "Member added"
    MEMBER_REMOVED = "member.removed", "Member removed"
    ROLE_CHANGED = "role.changed", "Role changed"
    INVITATION_SENT = "invitation.sent", "Invitation made"
    INVITATION_ACCEPTED = "invitation.accepted", "Invitation accepted"
    INVITATION_REVOKED = "invitation.revoked", "Invitation revoked"
    TOKEN_ISSUED = "token.issued", "Token issued"
    TOKEN_REVOKED = "token.revoked", "Token revoked"
    AUDIT_EXPORTED = "audit.exported", "Audit log exported"
    RUN_SUBMITTED = "run.submitted", "Run submitted"
    RUN_FORKED = "run.forked", "Run forked"
    RUN_CANCELLED = "run.cancelled", "Run stopped"
    RUN_DELETED = "run.deleted", "Run deleted"
    RUN_EXPORTED = "run.exported", "Run exported"
    TRAINING_SUBMITTED = "training.submitted", "Training submitted"
    TRAINING_CANCELLED = "training.cancelled", "Training stopped"
    WEIGHTS_DELETED = "weights.deleted", "Weights deleted"
    ENDPOINT_ADDED = "endpoint.added", "Endpoint added"
    ENDPOINT_CHANGED = "endpoint.changed", "Endpoint changed"
    ENDPOINT_CHECKED = "endpoint.checked", "Endpoint checked"
    ENDPOINT_ARCHIVED = "endpoint.archived", "Endpoint archived"
    LADDER_ADDED = "ladder.added", "Ladder added"
    LADDER_CHANGED = "ladder.changed", "Ladder changed"
    LADDER_ARCHIVED = "ladder.archived", "Ladder archived"
    EXPERIMENT_SUBMITTED = "experiment.submitted", "Experiment submitted"
    EXPERIMENT_CHANGED = "experiment.changed", "Experiment changed"
    EXPERIMENT_PAUSED = "experiment.paused", "Experiment paused"
    EXPERIMENT_RESUMED = "experiment.resumed", "Experiment resumed"
    EXPERIMENT_CANCELLED = "experiment.cancelled", "Experiment stopped"
    EXPERIMENT_RETRIED = "experiment.retried", "Failed trials retried"
    EXPERIMENT_JUDGED_AGAIN = "experiment.judged_again", "Answers judged again"
    TASK_SET_ADDED = "task_set.added", "Task set added"
    TASK_SET_ARCHIVED = "task_set.archived", "Task set archived"
    EXPERIMENT_DELETED = "experiment.deleted", "Experiment deleted"
    EXPERIMENT_EXPORTED = "experiment.exported", "Experiment exported"
    LABEL_SET_CREATED = "label_set.created", "Label set created"
    LABEL_SET_CHANGED = "label_set.changed", "Label set changed"
    QUEUE_CREATED = "queue.created", "Review queue created"
    QUEUE_CHANGED = "queue.changed", "Review queue changed"
    QUEUE_CLOSED = "queue.closed", "Review queue closed"
    LABEL_SAVED = "label.saved", "Label saved"
    LABEL_CHANGED = "label.changed", "Label changed"
    LABEL_UNDONE = "label.undone", "Label undone"
    LABEL_SKIPPED = "label.skipped", "Label skipped"
    LABEL_ADJUDICATED = "label.adjudicated", "Disagreement decided"
    LABELS_EXPORTED = "labels.exported", "Labels exported"
    LABELS_IMPORTED = "labels.imported", "Labels imported"
    COMMENT_ADDED = "comment.added", "Comment added"
    COMMENT_CHANGED = "comment.changed", "Comment changed"
    COMMENT_DELETED = "comment.deleted", "Comment deleted"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line to record; the workspace and the actor are the same for a whole batch."""

    action: Action
    target: str = ""
    url: str = ""
    """Where the target can be looked at: a path of this site, or ""."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values and no secrets; long texts are cut."""
    at: dt.datetime | None = None
    """None = now."""


def record(
    workspace: Workspace | int,
    actor: User | None,
    action: Action,
    *,
    target: str = "",
    url: str = "",
    detail: Mapping[str, Any] | None = None,
    at: dt.datetime | None = None,
) -> None:
    """Keep that ``actor`` did this; call it inside the transaction of the change.

    ``actor=None`` is the operator on the command line.

    Raises:
        ValueError: the detail names something like a secret (a fault of the caller).
    """
    entry = Entry(action=action, target=target, url=url, detail=detail or {}, at=at)
    record_all(workspace, actor, [entry])


def record_all(workspace: Workspace | int, actor: User | None, entries: Iterable[Entry]) -> None:
    """Keep many things that one person did, in this order, with one statement for every 500."""
    workspace_id = workspace if isinstance(workspace, int) else workspace.pk
    rows = [_row(workspace_id, actor, entry) for entry in entries]
    AuditEntry.objects.bulk_create(rows, batch_size=500)


def record_everywhere(user: User, actor: User | None, entry: Entry) -> None:
    """Keep something about a person in every workspace they belong to."""
    ids = Membership.objects.filter(user=user).order_by("workspace_id")
    rows = [_row(pk, actor, entry) for pk in ids.values_list("workspace_id", flat=True)]
    AuditEntry.objects.bulk_create(rows, batch_size=500)


def _row(workspace_id: int, actor: User | None, entry: Entry) -> AuditEntry:
    name = actor.username if actor else ""
    detail = {key: _plain(key, value) for key, value in entry.detail.items()}
    target = _line(entry.target)[:MAX_TARGET]
    told = " ".join(_texts(detail))
    return AuditEntry(
        workspace_id=workspace_id,
        at=entry.at or timezone.now(),
        actor=actor,
        actor_name=name,
        action=Action(entry.action).value,
        target=target,
        url=entry.url[:MAX_URL],
        detail=detail,
        words=f"w{workspace_id} {entry.action.value} {name} {target} {told}"[:MAX_WORDS],
    )


def _plain(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        raise ValueError(f"{key!r} looks like a secret: the audit log is read and exported")
    if isinstance(value, Mapping):
        return {str(name): _plain(str(name), part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain("", part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _line(str(value))[:MAX_TEXT]


def _line(text: str) -> str:
    """Return one line without control characters (NUL would not be stored)."""
    return "".join(c if c.isprintable() else " " for c in text)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif value is not None:
        yield str(value)
