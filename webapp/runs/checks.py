"""What a submission must be like before a run is stored: each check returns what is kept of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from collab_core.domain import Limits
from collab_core.errors import InvalidInput
from collab_core.tools.registry import chosen_names
from webapp.runs import tools
from webapp.runs.models import Collection, SampleTask
from webapp.teams.models import Workspace
from webapp.tiers.models import Ladder, Rung

MAX_QUESTION_BYTES = 100_000
MAX_SEED = 2**31 - 1


class LimitsInput(pydantic.BaseModel):
    """What a run may spend, as a person enters it: forms and the REST schema are made of this."""

    model_config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)

    max_steps: int = pydantic.Field(
        40, ge=1, le=10_000, title="Steps", description="Think-act-observe steps at most."
    )
    max_tokens: int | None = pydantic.Field(
        2_000_000, ge=1, le=10**12, title="Tokens", description="Input and output, all calls."
    )
    max_cost_usd: float | None = pydantic.Field(
        None, gt=0, le=1e9, title="Cost (USD)", description="Empty = no limit."
    )
    max_wall_s: float | None = pydantic.Field(
        3_600.0, ge=1, le=31_536_000, title="Seconds", description="Of model and tool time."
    )
    max_output_tokens: int = pydantic.Field(
        2_048, ge=1, le=1_000_000, title="Output tokens a call", description="Of one model call."
    )


def checked_question(question: str) -> str:
    text = question.replace("\r\n", "\n").strip()
    if not text:
        raise InvalidInput("The task is empty. Type a question.", field="question")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput("The task holds broken characters.", field="question") from None
    if size > MAX_QUESTION_BYTES:
        raise InvalidInput(
            f"The task is {size:,} bytes long; at most {MAX_QUESTION_BYTES:,} are allowed.",
            field="question",
            hint="Put long material into a document collection.",
        )
    bad = next((c for c in text if (c < " " and c not in "\n\t") or c == "\x7f"), None)
    if bad is not None:
        raise InvalidInput(
            f"The task holds the control character U+{ord(bad):04X}; it looks like binary data.",
            field="question",
        )
    return text


def checked_seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(MAX_SEED)
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise InvalidInput(f"The seed must be between 0 and {MAX_SEED}.", field="seed")
    return seed


def checked_limits(raw: Mapping[str, Any]) -> Limits:
    try:
        return Limits(**LimitsInput.model_validate(dict(raw)).model_dump())
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{name}: {first['msg']}", field=name) from error


def checked_key(key: str | None) -> str | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 90 or not key.isprintable():
        raise InvalidInput(
            "An idempotency key has 1 to 90 printable characters.", field="idempotency_key"
        )
    return key


def checked_ladder(workspace: Workspace, ladder: Ladder) -> list[Rung]:
    if ladder.workspace_id != workspace.pk or ladder.archived_at is not None:
        raise InvalidInput("There is no such ladder in this workspace.", field="ladder")
    rungs = ladder.ordered_rungs()
    if not rungs:
        raise InvalidInput(
            f"Ladder {ladder.name} has no tiers.",
            field="ladder",
            hint="Add at least one endpoint to it under Tiers.",
        )
    gone = next((rung for rung in rungs if rung.endpoint.archived_at is not None), None)
    if gone is not None:
        raise InvalidInput(
            f"Tier {gone.tier_name} of ladder {ladder.name} uses an archived endpoint.",
            field="ladder",
        )
    return rungs


def checked_collection(workspace: Workspace, collection: Collection | None) -> Collection | None:
    if collection is not None and collection.workspace_id != workspace.pk:
        raise InvalidInput("There is no such collection in this workspace.", field="collection")
    return collection


def known_task(collection: Collection | None, task_id: str, question: str) -> tuple[str, list[str]]:
    """Return the sample task's id and gold answers: picked, or typed word for word."""
    tasks = SampleTask.objects.filter(collection=collection)
    if not task_id:
        typed = tasks.filter(question=question).first() if collection else None
        return (typed.task_id, list(typed.answers)) if typed else ("", [])
    task = tasks.filter(task_id=task_id).first()
    if collection is None or task is None:
        raise InvalidInput(f"There is no sample task {task_id[:80]!r}.", field="task_id")
    if task.question.strip() != question:
        return "", []
    return task.task_id, list(task.answers)


def checked_tools(names: Iterable[str] | None, collection: Collection | None) -> list[str]:
    """Return the chosen tools in the order of the prompt; None = the default ones.

    Raises:
        InvalidInput: one does not exist, is not available here, or needs a collection.
    """
    return list(chosen_names(names, tools.offers(), collection=collection is not None))
