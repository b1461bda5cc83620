"""What a planner hands to other agents, and what it is shown of their work.

Source: DeepDiver-V2's ``assign_multi_*_tasks_to_info_seeker`` (1-5 independent tasks a call) and
``assign_subjective_task_to_writer``; adapted: reports and texts come back in the observation instead
of in files of a shared folder, and one tool serves both kinds of seekers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from collab_core.domain import ToolCall
from collab_core.errors import ToolFailed
from collab_core.tools.arguments import json_object, only_arguments, text_argument
from collab_core.tools.base import ToolOutcome

MAX_SEEKERS = 5
MAX_TASK_CHARS = 2_000
REPORTS_CHARS = 7_500
"""Of all reports of one call together: what the planner's observation can hold."""
MATERIAL_CHARS = 24_000
"""Of all reports that a writer is given."""
_HEAD_CHARS = 240
_LEAST_CHARS = 900
"""Of a report: its head, its end and some words of its text."""
_SEEKERS_USAGE = 'assign_seekers({"tasks": [{"task": "Who designed X?", "goal": "what for"}]})'
_WRITER_USAGE = 'assign_writer({"task": "Write a report on X"})'


class SeekerTask(NamedTuple):
    task: str
    goal: str


class WritingTask(NamedTuple):
    task: str
    revise: str
    """Name of an earlier text to work on; "" = a new one."""


class Report(NamedTuple):
    """What came of one seeker's work."""

    seeker: str
    """The agent instance: its scope."""
    task: str
    text: str
    ended_by: str
    steps: int
    looked_at: tuple[str, ...]

    def render(self, limit_chars: int) -> str:
        """Return it as the planner is shown it: one head line, all else set in.

        What a document said stands in ``text``: no line of it can pass for another report's head.
        """
        end = f"Ended by: {self.ended_by}, {self.steps} steps."
        if self.looked_at:
            end += " Looked at: " + "; ".join(self.looked_at)
        head = f"[{self.seeker}] {_one_line(self.task, _HEAD_CHARS)}"
        room = max(80, limit_chars - len(head) - len(end) - 60)
        found = textwrap.indent(self.text.strip() or "nothing", "  ", lambda line: True)
        return f"{head}\n  Report: {cut(found[2:], room)}\n  {end}"


class _Assignment:
    """A tool of which only the schema is used: the agent answers its calls with other agents."""

    name = ""

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Refuse: outside the planner's loop there is nobody to do the work.

        Raises:
            ToolFailed: always.
        """
        raise ToolFailed(f"There is no team here; {self.name} works for a planner only.")


class AssignSeekers(_Assignment):
    name = "assign_seekers"

    def __init__(self, max_seekers: int) -> None:
        self.description = (
            f"Hand 1 to {max_seekers} independent tasks to seekers, who search and read at the same "
            "time. Returns one report for each task."
        )
        item = {
            "type": "object",
            "properties": {
                "task": {"type": "string", "description": "A question that stands by itself"},
                "goal": {"type": "string", "description": "What the answer is needed for"},
            },
            "required": ["task"],
            "additionalProperties": False,
        }
        tasks = {"type": "array", "items": item, "minItems": 1, "maxItems": max_seekers}
        self.parameters: Mapping[str, Any] = {
            "type": "object",
            "properties": {"tasks": tasks},
            "required": ["tasks"],
            "additionalProperties": False,
        }


class AssignWriter(_Assignment):
    name = "assign_writer"
    description = (
        "Have a writer make a longer text from all reports so far. Returns the text's name and how "
        "it begins."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": "What to write, for whom, how long"},
            "revise": {"type": "string", "description": "An earlier text to improve: its name"},
        },
        "required": ["task"],
        "additionalProperties": False,
    }


def seeker_tasks(call: ToolCall, *, max_seekers: int, goal: str) -> tuple[SeekerTask, ...]:
    """Return the tasks of a call; one without a goal serves ``goal``.

    Raises:
        ToolFailed: the arguments are not what the schema says.
    """
    arguments = _arguments(call, ("tasks",), usage=_SEEKERS_USAGE)
    tasks = arguments.get("tasks")
    if not isinstance(tasks, list) or not 1 <= len(tasks) <= max_seekers:
        count = f"; there are {len(tasks)}" if isinstance(tasks, list) else ""
        raise ToolFailed(
            f'"tasks" must be a list of 1 to {max_seekers} tasks{count}. Call it like '
            f"{_SEEKERS_USAGE}."
        )
    return tuple(_seeker_task(task, goal) for task in tasks)


def writing_task(call: ToolCall, *, texts: Mapping[str, str]) -> WritingTask:
    """Return the task of a call.

    Raises:
        ToolFailed: the arguments are not what the schema says, or there is no such text.
    """
    arguments = _arguments(call, ("task", "revise"), usage=_WRITER_USAGE)
    task = text_argument(arguments, "task", usage=_WRITER_USAGE, max_chars=MAX_TASK_CHARS)
    revise = arguments.get("revise") or ""
    if revise and (not isinstance(revise, str) or revise not in texts):
        known = ", ".join(texts) or "none yet"
        raise ToolFailed(f'"revise" names no text. Texts: {known}.')
    return WritingTask(task, str(revise))


def render_reports(reports: list[Report], limit_chars: int) -> str:
    """Return them, each with an equal share of the room; the latest where there are too many."""
    kept = reports[-max(1, limit_chars // _LEAST_CHARS) :]
    lines = [report.render(limit_chars // len(kept)) for report in kept]
    left_out = len(reports) - len(kept)
    return "\n".join([*([f"[{left_out} earlier reports left out]"] if left_out else []), *lines])


def cut(text: str, limit_chars: int) -> str:
    """Return the text, or its beginning and how much was left out."""
    if len(text) <= limit_chars:
        return text
    return f"{text[:limit_chars]} [{len(text) - limit_chars} characters more]"


def _seeker_task(given: object, goal: str) -> SeekerTask:
    # some models write the tasks as plain texts
    fields = {"task": given} if isinstance(given, str) else given
    if not isinstance(fields, dict):
        raise ToolFailed(f'Each of "tasks" must be an object. Call it like {_SEEKERS_USAGE}.')
    only_arguments(fields, ("task", "goal"), usage=_SEEKERS_USAGE)
    limits: dict[str, Any] = {"usage": _SEEKERS_USAGE, "max_chars": MAX_TASK_CHARS}
    task = text_argument(fields, "task", **limits)
    return SeekerTask(task, text_argument(fields, "goal", **limits) if fields.get("goal") else goal)


def _arguments(call: ToolCall, allowed: tuple[str, ...], *, usage: str) -> dict[str, Any]:
    try:
        arguments = json_object(call.arguments)
    except msgspec.DecodeError as error:
        raise ToolFailed(
            f"The arguments are not a JSON object ({error}). Call it like {usage}."
        ) from error
    only_arguments(arguments, allowed, usage=usage)
    return arguments


def _one_line(text: str, limit_chars: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit_chars else line[: limit_chars - 1] + "…"
