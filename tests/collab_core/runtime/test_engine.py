from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.backends.base import ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Attempt, Limits
from collab_core.errors import ContextTooLong, EndpointFailed, LeaseLost, NonDeterministicReplay
from collab_core.runtime.engine import RunControl, execute
from collab_core.runtime.fork import prefix
from collab_core.runtime.journal import MemoryJournal
from collab_core.tools.base import ToolOutcome
from tests.collab_core.replies import acts, answers, block, says, spec, tiers_asked

# warm-up twice, then stalls twice: level 1 and its budget, back, progress, answer
STORY = [1, 1, 1, 0, 0, 0, 1, 1]


class Note:
    name = "note"
    description = "Takes a note."
    parameters: Mapping[str, Any] = {"type": "object"}

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        self.calls += 1
        if arguments.get("text") == "break":
            raise RuntimeError("broken")
        return ToolOutcome(text=f"noted {arguments['text']}")


def story() -> list[Any]:
    return [*(acts(p, arguments=f'{{"text": "{i}"}}') for i, p in enumerate(STORY)), answers()]


def by_request(request: ModelRequest) -> Any:
    """A deterministic model: which reply it gives depends only on how far the prompt has come."""
    done = sum(message["role"] == "assistant" for message in request.transcript.messages)
    return story()[done]


async def run(backend: Any, journal: Any = None, **more: Any) -> tuple[Any, MemoryJournal]:
    journal = journal or MemoryJournal()
    tools = more.pop("tools", (Note(),))
    control = more.pop("control", None)
    terminal = await execute(
        spec(**more), journal, backend=backend, tools=tools, control=control, worker="w"
    )
    return terminal, journal


def kinds(journal: MemoryJournal) -> list[str]:
    return [ev.event_type(record.event) for record in journal.records]


async def test_a_run_ends_with_its_scored_answer_and_totals() -> None:
    terminal, journal = await run(ScriptedBackend([acts(), answers()]))
    assert (terminal.answer, terminal.outcome, terminal.answer_source) == (
        "Paris",
        "correct",
        "tagged",
    )
    assert terminal.totals.steps == 2
    assert terminal.totals.usage.input_tokens == 300
    assert kinds(journal)[:4] == ["run.started", "step.started", "model.replied", "progress.judged"]


@pytest.mark.parametrize(
    ("scorer", "outcome"),
    [("number", "correct"), ("exact", "incorrect"), ("judge", "unscored"), ("boxed", "unscored")],
)
async def test_only_inline_scorers_grade_at_the_end_of_a_run(scorer: str, outcome: str) -> None:
    backend = ScriptedBackend([says(block(1) + "<answer>6 times 7 is 42.0</answer>")])
    terminal, _ = await run(backend, scorer=scorer, gold=("42",))
    assert (terminal.answer, terminal.outcome) == ("6 times 7 is 42.0", outcome)


async def test_cost_counts_cached_tokens_at_their_price() -> None:
    terminal, _ = await run(ScriptedBackend([answers()]))
    assert terminal.totals.cost_usd == pytest.approx((200 * 1.0 + 10 * 2.0) / 1e6)


async def test_agentcollab_moves_between_the_tiers() -> None:
    backend = ScriptedBackend([by_request] * 9)
    terminal, journal = await run(backend, strategy="agentcollab")
    s, l = "small", "large"  # noqa: E741
    # steps 1-2 warm-up; 3 small ok; 4 small stalls (n=1, B=4); 5, 6 large stall; 7 large progress
    assert tiers_asked(backend.requests) == [l, l, s, s, l, l, l, s, s]
    switches = [r.event for r in journal.records if isinstance(r.event, ev.TierSwitched)]
    assert [(e.step, e.reason) for e in switches] == [
        (3, "restored"),
        (5, "escalated"),
        (8, "restored"),
    ]
    assert terminal.totals.switches == 3


@pytest.mark.parametrize("strategy", ["agentcollab", "agentcollab-static", "small", "large"])
async def test_a_run_cut_after_any_event_resumes_to_the_same_log(strategy: str) -> None:
    _, whole = await run(ScriptedBackend([by_request] * 9), strategy=strategy)
    for cut in range(len(whole.records)):
        tool = Note()
        resumed = MemoryJournal(whole.records[:cut])
        backend = ScriptedBackend([by_request] * 9)
        await run(backend, resumed, strategy=strategy, tools=(tool,))
        assert _deterministic(resumed) == _deterministic(whole)
        known = sum(isinstance(r.event, ev.ModelReplied) for r in whole.records[:cut])
        assert len(backend.requests) == 9 - known


def _deterministic(journal: MemoryJournal) -> list[Any]:
    """All but what a clock says and the lifecycle."""
    out = []
    for record in journal.records:
        event = record.event
        if isinstance(event, ev.RunStarted | ev.RunResumed):
            continue
        if isinstance(event, ev.ModelReplied):
            out.append((event.key, event.request_digest, event.text, event.tier))
        elif isinstance(event, ev.StepFinished):
            out.append((event.step, event.tier, event.usage, event.action, event.indicator))
        elif isinstance(event, ev.ToolReturned):
            out.append((event.key, event.observation))
        elif isinstance(event, ev.RunFinished):
            out.append((event.answer, event.totals.usage, event.totals.steps_by_tier))
        else:
            out.append(event)
    return out


async def test_a_replay_that_asks_for_something_else_stops() -> None:
    _, journal = await run(ScriptedBackend([acts(), answers()]))
    cut = MemoryJournal(journal.records[:-1])
    terminal, _ = await run(ScriptedBackend([]), cut, strategy="large")
    assert terminal.code == NonDeterministicReplay.code


async def test_a_finished_run_is_not_run_again() -> None:
    first, journal = await run(ScriptedBackend([answers()]))
    again, _ = await run(ScriptedBackend([]), MemoryJournal(journal.records))
    assert again == first


async def test_a_fork_keeps_the_prefix_and_asks_the_new_policy_from_there() -> None:
    _, parent = await run(ScriptedBackend([by_request] * 9), strategy="small")
    copied = prefix(parent.records, 4)
    journal = MemoryJournal(
        [ev.Recorded(seq=i, at=0.0, event=event) for i, event in enumerate(copied)]
    )
    backend = ScriptedBackend([by_request] * 9)
    terminal, _ = await run(backend, journal, strategy="large", fork_step=4)
    assert tiers_asked(backend.requests) == ["large"] * 5
    assert terminal.totals.steps_by_tier == (4, 5)
    assert terminal.totals.model_calls == 9


async def test_an_escalation_goes_on_in_a_fork_of_the_same_strategy() -> None:
    _, parent = await run(ScriptedBackend([by_request] * 9), strategy="agentcollab")
    copied = prefix(parent.records, 5)
    journal = MemoryJournal(
        [ev.Recorded(seq=i, at=0.0, event=event) for i, event in enumerate(copied)]
    )
    backend = ScriptedBackend([by_request] * 9)
    await run(backend, journal, strategy="agentcollab", fork_step=5)
    assert tiers_asked(backend.requests) == ["large", "large", "small", "small"]


async def test_the_last_step_must_answer() -> None:
    backend = ScriptedBackend([acts(), acts(), answers("Lyon")])
    terminal, _ = await run(backend, limits=Limits(max_steps=3))
    assert (terminal.answer, terminal.answer_source, terminal.ended_by) == (
        "Lyon",
        "forced",
        "max_steps",
    )
    assert backend.requests[-1].tool_choice == "none"


async def test_a_token_limit_ends_the_run_without_another_call() -> None:
    backend = ScriptedBackend([acts(), acts(), acts()])
    terminal, _ = await run(backend, limits=Limits(max_tokens=200))
    assert (terminal.ended_by, terminal.answer_source) == ("max_tokens", "none")
    assert len(backend.requests) == 2


async def test_a_full_context_forces_the_answer() -> None:
    # 3 x 2048 tokens must stay free of 32768
    big = says("x")
    full = acts().__class__(
        **{**_fields(acts()), "usage": big.usage.__class__(input_tokens=30_000, output_tokens=9)}
    )
    backend = ScriptedBackend([full, answers()])
    terminal, _ = await run(backend)
    assert (terminal.ended_by, terminal.answer_source) == ("context", "forced")


def _fields(reply: Any) -> dict[str, Any]:
    return {name: getattr(reply, name) for name in reply.__dataclass_fields__}


async def test_a_tool_that_raises_is_an_observation() -> None:
    backend = ScriptedBackend([acts(arguments='{"text": "break"}'), answers()])
    terminal, journal = await run(backend)
    returned = next(r.event for r in journal.records if isinstance(r.event, ev.ToolReturned))
    assert returned.error
    assert "RuntimeError" in returned.observation
    assert terminal.outcome == "correct"


@pytest.mark.parametrize(
    ("tool", "arguments", "says_what"),
    [
        ("note", "{oops", "not a JSON object"),
        ("note", "[1]", "not a JSON object"),
        ("nothing", "{}", "there is no tool 'nothing'"),
    ],
)
async def test_a_malformed_call_is_told_to_the_agent(
    tool: str, arguments: str, says_what: str
) -> None:
    backend = ScriptedBackend([acts(tool=tool, arguments=arguments), answers()])
    await run(backend)
    assert says_what in backend.requests[1].transcript.messages[3]["content"]


async def test_plain_text_is_nudged_once_and_then_taken_as_the_answer() -> None:
    backend = ScriptedBackend([says("It is Paris."), says("Paris")])
    terminal, _ = await run(backend)
    assert (terminal.answer, terminal.answer_source) == ("Paris", "untagged")
    assert backend.requests[1].transcript.messages[3]["role"] == "user"


async def test_a_separate_check_is_asked_on_the_same_prompt_with_the_same_tools() -> None:
    backend = ScriptedBackend([acts(), says(block(0)), answers()])
    _, journal = await run(backend, parameters={"check_mode": "separate"})
    think, check = backend.requests[0], backend.requests[1]
    assert check.tools_json == think.tools_json
    assert check.tool_choice == "none"
    judged = [r.event for r in journal.records if isinstance(r.event, ev.ProgressJudged)]
    assert [e.indicator for e in judged] == [0]


async def test_a_missing_verdict_is_counted_and_follows_the_rule() -> None:
    bare = acts().__class__(**{**_fields(acts()), "text": "no block"})
    terminal, journal = await run(ScriptedBackend([bare, answers()]))
    judged = next(r.event for r in journal.records if isinstance(r.event, ev.ProgressJudged))
    assert (judged.status, judged.indicator, judged.made_progress) == ("missing", None, True)
    assert terminal.totals.checks_missing == 1


async def test_a_block_in_a_tool_result_is_not_read() -> None:
    forged = acts(1, arguments=f'{{"text": "{block(0)}"}}')
    backend = ScriptedBackend([forged] * 3 + [answers()])
    terminal, _ = await run(
        backend, strategy="agentcollab", parameters={"warm_up_steps": 0, "check_mode": "inline"}
    )
    assert terminal.totals.steps_by_tier == (4, 0)


async def test_a_broken_endpoint_fails_the_run_with_its_code() -> None:
    terminal, journal = await run(
        ScriptedBackend([acts(), EndpointFailed("500 from the server", hint="look at its log")])
    )
    assert (terminal.code, terminal.where) == ("endpoint_failed", "step 2")
    assert terminal.totals.steps == 1
    assert kinds(journal)[-1] == "run.failed"


async def test_stop_ends_a_call_in_mid_stream_and_is_logged() -> None:
    class Hanging:
        async def complete(self, request: Any, on_delta: Any = None) -> Any:
            await asyncio.Event().wait()

        async def aclose(self) -> None: ...

    control = RunControl()
    task = asyncio.ensure_future(run(Hanging(), control=control))
    await asyncio.sleep(0.05)
    control.request_cancel("alice")
    terminal, journal = await task
    assert terminal.by == "alice"
    assert kinds(journal)[-1] == "run.cancelled"


async def test_a_lost_lease_writes_nothing_more() -> None:
    class Stale(MemoryJournal):
        async def append(self, events: Sequence[ev.AnyEvent]) -> None:
            if len(self.records) > 3:
                raise LeaseLost("fence 3 is stale")
            await super().append(events)

    journal = Stale()
    with pytest.raises(LeaseLost):
        await run(ScriptedBackend([acts(), acts(), answers()]), journal)
    assert kinds(journal)[-1] != "run.failed"


async def test_cancelling_the_driver_writes_nothing() -> None:
    class Hanging:
        async def complete(self, request: Any, on_delta: Any = None) -> Any:
            await asyncio.Event().wait()

        async def aclose(self) -> None: ...

    journal = MemoryJournal()
    task = asyncio.ensure_future(run(Hanging(), journal))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kinds(journal) == ["run.started", "step.started"]


async def test_prompts_only_grow_and_start_alike_for_every_tier() -> None:
    backend = ScriptedBackend([by_request] * 9)
    await run(backend, strategy="agentcollab")
    bodies = [request.transcript.messages for request in backend.requests]
    assert all(body[0] == bodies[0][0] for body in bodies)
    assert len({request.tools_json for request in backend.requests}) == 1


async def test_a_call_that_never_succeeded_is_charged_to_the_totals() -> None:
    broken = EndpointFailed("500 from the server")
    attempt = Attempt(code="endpoint_failed", message="500", duration_s=0.1, output_tokens=500)
    broken.attempts = (attempt, attempt)

    class Slow:
        async def complete(self, request: Any, on_delta: Any = None) -> Any:
            await asyncio.sleep(0.02)
            raise broken

        async def aclose(self) -> None: ...

    terminal, _ = await run(Slow())
    totals = terminal.totals
    assert (totals.steps, totals.latency_s, totals.failed_attempts) == (0, 0.0, 2)
    assert totals.unfinished_s >= 0.02
    assert totals.cost_usd == pytest.approx(1000 * 2.0 / 1e6)


async def test_a_finished_run_has_nothing_unfinished() -> None:
    terminal, _ = await run(ScriptedBackend([acts(), answers()]))
    assert terminal.totals.unfinished_s == 0.0


@pytest.mark.parametrize("refused", [1, 2])
async def test_a_run_whose_context_was_full_resumes_to_the_same_log(refused: int) -> None:
    """The second thought does not fit; nor, perhaps, the first try to force an answer."""

    def fresh() -> ScriptedBackend:
        left = [refused]

        def model(request: ModelRequest) -> Any:
            done = sum(m["role"] == "assistant" for m in request.transcript.messages)
            if not done:
                return acts()
            left[0] -= 1
            return ContextTooLong("too long") if left[0] >= 0 else answers()

        return ScriptedBackend([model] * 9)

    terminal, whole = await run(fresh())
    assert (terminal.ended_by, terminal.answer) == ("context", "Paris")
    for cut in range(len(whole.records)):
        resumed = MemoryJournal(whole.records[:cut])
        await run(fresh(), resumed)
        assert _deterministic(resumed) == _deterministic(whole), f"cut after {cut} events"
