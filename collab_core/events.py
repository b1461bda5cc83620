"""The one vocabulary: what an event of a run can say, and how it is written down.

A run *is* its log: an append-only, gap-free sequence of these events, ``seq`` = 0, 1, 2 … The same
names are the class tag, the database column, the JSON ``type`` on every wire, and the keys in
``static/ui/js/vocabulary.js`` (generated; a test fails when it is stale).

Steps count from 1 through the whole run. ``scope`` names the agent instance ("" = the main one, else
a path such as ``seeker-2``); what follows a ``~`` names calls made side by side within one of its
steps (samples, a warm-up of a cache) and is no instance of its own. ``at`` is
UTC epoch seconds from the worker's clock; durations come from a monotonic clock.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Union

import msgspec

from collab_core.domain import (
    Attempt,
    CheckStatus,
    Fork,
    LatencySplit,
    Limits,
    Task,
    TierSnapshot,
    Timing,
    ToolCall,
    Totals,
    Usage,
)

SCHEMA_VERSION = 1

Outcome = Literal["correct", "incorrect", "unscored"]
AnswerSource = Literal["tagged", "untagged", "forced", "none"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=False):
    """Base of all; ``step`` is 0 where an event belongs to no step."""

    terminal: ClassVar[bool] = False


class RunQueued(Event, frozen=True, kw_only=True, tag="run.queued"):
    task: Task
    strategy: str
    parameters: dict[str, Any]
    ladder: tuple[TierSnapshot, ...]
    ladder_name: str = ""
    seed: int
    limits: Limits
    submitted_by: str = ""
    code_version: str = ""
    simulated: bool = False
    forked_from: Fork | None = None
    schema_version: int = SCHEMA_VERSION
    tools: tuple[str, ...] | None = None
    """What was chosen, by the names of the catalogue; None = the default (logs of older versions)."""


class RunStarted(Event, frozen=True, kw_only=True, tag="run.started"):
    worker: str = ""
    fence: int = 0
    tools: tuple[str, ...] = ()
    """The functions that the models were shown, in order."""
    sandbox: str = ""
    """The rung that ``python`` ran in: strong, reduced, language; "" = the run had no ``python``."""


class RunResumed(Event, frozen=True, kw_only=True, tag="run.resumed"):
    """Another worker (or a later process) goes on at the first unknown effect."""

    worker: str = ""
    fence: int = 0
    reason: str = ""
    sandbox: str = ""
    """As in ``run.started``: another worker may have another one."""


class StepStarted(Event, frozen=True, kw_only=True, tag="step.started"):
    """A step and the policy's decision for it."""

    step: int
    scope: str = ""
    role: str = "agent"
    tier: int
    tier_name: str
    reason: str
    why: str = ""
    level: int = 0
    budget: int | None = None
    budget_left: int | None = None
    score: float | None = None
    """What a learned policy went by."""
    threshold: float | None = None


class ModelReplied(Event, frozen=True, kw_only=True, tag="model.replied"):
    """An effect: one model call, successful in the end."""

    key: str
    """Scope path and counter of the effect: stable between a run and its replay."""
    step: int
    scope: str = ""
    purpose: str
    """think, progress_check, final_answer, plan, verify, judge …"""
    tier: int
    tier_name: str
    request_digest: str
    """SHA-256 of the messages sent, first 32 hex digits."""
    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str
    usage: Usage
    timing: Timing
    cost_usd: float | None = None
    mean_logprob: float | None = None
    first_token_margin: float | None = None
    decisive_margin: float | None = None
    """p(top-1) - p(top-2) of the first token after the fixed tags."""
    attempts: tuple[Attempt, ...] = ()


class ScorerReturned(Event, frozen=True, kw_only=True, tag="scorer.returned"):
    """An effect: a learned scorer read texts and gave numbers; charged to the strategy."""

    key: str
    step: int
    scope: str = ""
    scorer: str
    digest: str
    """Of its weights: the same texts and weights give the same numbers."""
    request_digest: str
    """SHA-256 of the texts read, first 32 hex digits."""
    values: tuple[float, ...]
    stand_in: bool = False
    """Its encoder is the hashed stand-in, not a sentence-encoder."""
    duration_s: float


class DraftDiscarded(Event, frozen=True, kw_only=True, tag="draft.discarded"):
    """The policy rejected a draft before its tool ran; ``to_tier`` writes the step anew."""

    step: int
    scope: str = ""
    tier: int
    tier_name: str
    to_tier: int
    to_name: str
    reason: str
    why: str = ""
    score: float | None = None
    threshold: float | None = None
    action: str = ""
    """What the draft would have done, in one line."""


class ToolReturned(Event, frozen=True, kw_only=True, tag="tool.returned"):
    """An effect: one tool call and what the agent was shown of its result."""

    key: str
    step: int
    scope: str = ""
    call_id: str
    tool: str
    arguments: str
    observation: str
    truncated: bool = False
    error: bool = False
    duration_s: float
    delegated: bool = False
    """Other agents did the work: ``duration_s`` is theirs and is charged there."""
    hosts: tuple[str, ...] = ()
    """Hosts of the network that the tool asked, in order, whether it succeeded or not."""


class ProgressJudged(Event, frozen=True, kw_only=True, tag="progress.judged"):
    """The agent's own verdict on the step."""

    step: int
    scope: str = ""
    indicator: Literal[0, 1] | None
    made_progress: bool
    """What the policy was told, after the rule for missing verdicts."""
    status: CheckStatus
    rationale: str = ""
    raw: str = ""


class TierSwitched(Event, frozen=True, kw_only=True, tag="tier.switched"):
    """The next step runs on another tier than the last; ``step`` is that next step."""

    step: int
    scope: str = ""
    from_tier: int
    to_tier: int
    from_name: str
    to_name: str
    reason: str
    why: str = ""
    level: int = 0
    budget: int | None = None


class StepFinished(Event, frozen=True, kw_only=True, tag="step.finished"):
    """The step in one record: enough for every plot and list, without the bodies."""

    step: int
    scope: str = ""
    role: str = "agent"
    tier: int
    tier_name: str
    reason: str
    level: int = 0
    budget: int | None = None
    budget_left: int | None = None
    thought: str = ""
    """First 240 characters of what it thought."""
    action: str = ""
    """The tool call in one line, at most 160 characters; "" where there was none."""
    tool: str = ""
    error: bool = False
    indicator: Literal[0, 1] | None = None
    check: CheckStatus = "not_asked"
    latency: LatencySplit
    cumulative_s: float
    usage: Usage
    cost_usd: float | None = None
    tokens_per_s: float | None = None
    discarded: int = 0
    """Drafts the policy rejected; their tokens, time and cost are in this step's."""


class RunFinished(Event, frozen=True, kw_only=True, tag="run.finished"):
    terminal: ClassVar[bool] = True
    answer: str
    answer_source: AnswerSource
    outcome: Outcome = "unscored"
    ended_by: str = "answer"
    """answer, or the limit that forced the end: max_steps, context …"""
    totals: Totals


class RunFailed(Event, frozen=True, kw_only=True, tag="run.failed"):
    terminal: ClassVar[bool] = True
    code: str
    message: str
    hint: str = ""
    where: str = ""
    """Step and tier in words."""
    totals: Totals


class RunCancelled(Event, frozen=True, kw_only=True, tag="run.cancelled"):
    terminal: ClassVar[bool] = True
    by: str = ""
    totals: Totals


AnyEvent = Union[
    RunQueued,
    RunStarted,
    RunResumed,
    StepStarted,
    ModelReplied,
    ScorerReturned,
    DraftDiscarded,
    ToolReturned,
    ProgressJudged,
    TierSwitched,
    StepFinished,
    RunFinished,
    RunFailed,
    RunCancelled,
]
EVENT_TYPES: dict[str, type[Event]] = {
    cls.__struct_config__.tag: cls
    for cls in AnyEvent.__args__  # type: ignore[attr-defined]
}
TERMINAL_TYPES = frozenset(name for name, cls in EVENT_TYPES.items() if cls.terminal)


class ModelDelta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="model.delta"):
    """Streaming text: shown live, never stored, never numbered.

    ``offset`` is where ``text`` begins in the call's text so far, in characters; a new ``attempt``
    replaces what the earlier one showed.
    """

    step: int
    scope: str = ""
    purpose: str = "think"
    attempt: int = 0
    offset: int
    text: str
    kind: Literal["text", "reasoning", "tool_call"] = "text"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the log."""

    seq: int
    at: float
    event: AnyEvent


class _Place(msgspec.Struct):
    seq: int
    at: float


_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_place_decoder = msgspec.json.Decoder(_Place)


def event_type(event: AnyEvent) -> str:
    """Return the event's name in the vocabulary."""
    return str(type(event).__struct_config__.tag)


def encode_body(event: AnyEvent | ModelDelta) -> bytes:
    """Return the event as JSON with its ``type`` and without its place: what a database stores."""
    return _encoder.encode(event)


def decode_body(body: bytes | str) -> AnyEvent:
    """Read what :func:`encode_body` wrote.

    Raises:
        msgspec.ValidationError: the text is not an event of this vocabulary.
    """
    return _event_decoder.decode(body)


def frame(seq: int, at: float, body: bytes) -> bytes:
    """Put a stored body on the wire: one flat JSON object, without decoding it."""
    return b'{"seq":%d,"at":%s,' % (seq, repr(float(at)).encode()) + body[1:]


def encode(recorded: Recorded) -> bytes:
    """Return one line of a log."""
    return frame(recorded.seq, recorded.at, encode_body(recorded.event))


def decode(line: bytes | str) -> Recorded:
    """Read one line of a log.

    Raises:
        msgspec.ValidationError: the line is not a numbered event of this vocabulary.
    """
    place = _place_decoder.decode(line)
    return Recorded(seq=place.seq, at=place.at, event=_event_decoder.decode(line))
