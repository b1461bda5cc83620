"""What goes wrong beside the main road: full contexts, dead tiers, bad tools, a full disk."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Limits, ToolCall
from collab_core.errors import ContextTooLong, EndpointUnreachable, InvalidInput
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import FileJournal, MemoryJournal, read_log
from collab_core.strategies.base import Resources
from collab_core.tools.base import ToolOutcome
from tests.collab_core.policies.routes import steady
from tests.collab_core.replies import acts, answers, block, says, spec
from tests.collab_core.runtime.test_engine import Note

Model = Callable[[ModelRequest], Any]


async def run(
    model: Model, strategy: str, parameters: dict[str, Any], history: Any = (), **more: Any
) -> tuple[Any, MemoryJournal, list[ModelRequest]]:
    backend, journal = ScriptedBackend([model] * 200), MemoryJournal(history)
    terminal = await execute(
        spec(strategy, parameters=parameters, **more), journal, backend=backend, tools=(Note(),)
    )
    return terminal, journal, backend.requests


def turns(request: ModelRequest) -> int:
    return sum(message["role"] == "assistant" for message in request.transcript.messages)


async def test_a_warm_up_that_failed_is_not_made_again_by_a_replay() -> None:
    down = [True]

    def model(request: ModelRequest) -> Any:
        if request.max_output_tokens == 1:
            return EndpointUnreachable("gone") if down[0] else says("")
        return acts() if turns(request) < 3 else answers()

    parameters = {"warm_prefill": "always", "warm_min_tokens": 0, "warm_up_steps": 0}
    _, whole, _ = await run(model, "agentcollab", parameters)
    down[0] = False
    _, resumed, asked = await run(model, "agentcollab", parameters, whole.records[:-1])
    assert not asked
    assert steady(resumed.records) == steady(whole.records)


async def test_a_separate_check_that_does_not_fit_is_a_missing_verdict() -> None:
    def model(request: ModelRequest) -> Any:
        if request.suffix and request.max_output_tokens == 1_024:
            return answers()
        if turns(request) > 1:
            return ContextTooLong("too long")
        return says(block(1)) if request.suffix else acts()

    given = {"check_mode": "separate"}
    terminal, whole, _ = await run(model, "small", given)
    assert (terminal.ended_by, terminal.answer) == ("context", "Paris")
    assert terminal.totals.checks_missing == 1
    for cut in range(1, len(whole.records)):
        _, resumed, _ = await run(model, "small", given, whole.records[:cut])
        assert steady(resumed.records) == steady(whole.records), f"cut after {cut} events"


@pytest.mark.parametrize("place", ["plan", "act"])
async def test_a_cascade_whose_context_was_full_resumes(place: str) -> None:
    """The large model's plan or its action of the second step does not fit."""

    def model(request: ModelRequest) -> Any:
        if request.max_output_tokens == 1_024:
            return answers()
        planning = request.tool_choice == "none"
        if turns(request) and request.tier.name == "large" and planning == (place == "plan"):
            return ContextTooLong("too long")
        return says("plan") if planning else acts(arguments=f'{{"text": "{request.request_id}"}}')

    given = {"granularity": "step", "samples": 2, "tau1": 1.0, "tau2": 1.0}
    terminal, whole, _ = await run(model, "cope", given)
    assert (terminal.ended_by, terminal.answer) == ("context", "Paris")
    steps = [r.event for r in whole.records if isinstance(r.event, ev.StepFinished)]
    assert sum(s.usage.input_tokens for s in steps) == terminal.totals.usage.input_tokens
    last = next(
        n for n, r in enumerate(whole.records) if getattr(r.event, "purpose", "") == "final_answer"
    )
    for cut in range(last, len(whole.records)):
        ended, resumed, _ = await run(model, "cope", given, whole.records[:cut])
        assert isinstance(ended, ev.RunFinished), ended
        assert steady(resumed.records) == steady(whole.records), f"cut after {cut} events"


async def test_a_debater_whose_context_is_full_keeps_its_answer() -> None:
    def model(request: ModelRequest) -> Any:
        if "debater-2" in request.request_id and request.tool_choice == "none":
            return ContextTooLong("too long")
        return answers("Rome" if request.tool_choice == "none" else "Paris")

    terminal, whole, _ = await run(model, "debate", {"agents": 2, "rounds": 2})
    assert terminal.answer == "Rome"
    for cut in range(1, len(whole.records)):
        ended, _, asked = await run(
            model, "debate", {"agents": 2, "rounds": 2}, whole.records[:cut]
        )
        assert ended.answer == "Rome"
        assert len(asked) <= 4


@pytest.mark.parametrize("depth", [65, 300, 60_000])
@pytest.mark.parametrize("strategy", ["small", "cope"])
async def test_arguments_nested_without_end_break_nothing(depth: int, strategy: str) -> None:
    deep = '{"text": ' + "[" * depth + "]" * depth + "}"
    call = ToolCall(id="c", name="note", arguments=deep)

    def model(request: ModelRequest) -> ModelReply:
        return answers() if turns(request) else ModelReply(text="", tool_calls=(call,))

    given = {"granularity": "step", "samples": 1} if strategy == "cope" else {}
    terminal, journal, _ = await run(model, strategy, given)
    assert terminal.answer == "Paris"
    (told,) = (r.event.observation for r in journal.records if isinstance(r.event, ev.ToolReturned))
    assert "nested too deeply" in told


class Bad:
    name = "note"
    description = "Goes wrong."
    parameters: Mapping[str, Any] = {"type": "object"}

    def __init__(self, how: str) -> None:
        self.how = how

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        if self.how == "hangs":
            await asyncio.Event().wait()
        if self.how == "cancels":
            raise asyncio.CancelledError
        if self.how == "times out":
            raise TimeoutError
        return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("hangs", "did not answer within 0.05 seconds"),
        ("cancels", "was interrupted"),
        ("times out", "broke (TimeoutError)"),
        ("gives nothing", "broke (TypeError)"),
    ],
)
async def test_a_bad_tool_is_an_observation(how: str, said: str) -> None:
    journal = MemoryJournal()
    await execute(
        spec("small", limits=Limits(max_steps=5, max_wall_s=0.05)),
        journal,
        backend=ScriptedBackend([acts(), answers()]),
        tools=(Bad(how),),
    )
    (told,) = (r.event for r in journal.records if isinstance(r.event, ev.ToolReturned))
    assert told.error
    assert said in told.observation


@pytest.mark.parametrize(
    "reference", ["x" * 300, "a\0b", "\ud800", "circle", "../nothing-of-this-name", "out"]
)
@pytest.mark.parametrize("any_path", [True, False])
def test_what_can_be_no_file_is_not_there(reference: str, any_path: bool, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "circle").symlink_to(folder / "circle")
    (tmp_path / "x").touch()
    (folder / "out").symlink_to(tmp_path / "x")
    with pytest.raises(InvalidInput, match="there is no"):
        Resources(folder=folder, any_path=any_path).locate(reference, field="weights")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_leaves_no_torn_line_in_a_log(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    journal = FileJournal(path)
    await journal.append([ev.RunStarted(worker="w")])
    with largest_file(path.stat().st_size + 20), pytest.raises(OSError, match="too large"):
        await journal.append([ev.RunResumed(worker="w", reason="x" * 500)])
    await journal.append([ev.RunResumed(worker="w", reason="again")])
    journal.close()
    assert len(read_log(path.read_bytes(), name="log")) == 2


def test_a_log_nested_without_end_is_no_log() -> None:
    line = b'{"seq": 0, "at": 0, "event": ' + b"[" * 100_000
    with pytest.raises(InvalidInput, match="line 1"):
        read_log(line, name="log")
