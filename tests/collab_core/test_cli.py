from __future__ import annotations

from pathlib import Path

import pytest

from collab_core import events as ev
from collab_core.cli import main
from collab_core.runtime.journal import read_log
from tests.fakes.model_server import ModelServer, Reply, delta, sse, usage

ANSWER = Reply(
    actions=(
        sse(delta(content="<answer>Paris</answer>"), delta(finish="stop"), usage(completion=5)),
    )
)


async def command(server: ModelServer, *more: str) -> int:
    import asyncio

    arguments = ["run", "Capital of France?", "--plain", "--strategy", "small", *more]
    arguments += ["--tier", f"small={server.base_url}#m"]
    return await asyncio.to_thread(main, arguments)


async def test_a_run_is_logged_from_queued_to_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collab_core.cli._catch_signals", lambda control: None)
    log = tmp_path / "run.jsonl"
    async with ModelServer(lambda request: ANSWER) as server:
        assert await command(server, "--log", str(log), "--gold", "paris") == 0
        events = [record.event for record in read_log(log.read_bytes(), name="log")]
        assert isinstance(events[0], ev.RunQueued)
        assert isinstance(events[-1], ev.RunFinished)
        assert events[-1].outcome == "correct"
        # a second time: the log already holds the end
        assert await command(server, "--log", str(log)) == 0
        assert sum(request.method == "POST" for request in server.requests) == 1
        # another seed is another run
        assert await command(server, "--log", str(log), "--seed", "5") == 2


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([], ("calculator",)),
        (["--tools", "read_page, calculator"], ("calculator", "read_page")),
        (["--tools", "none"], ()),
    ],
)
async def test_the_tools_are_those_that_were_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], shown: tuple[str, ...]
) -> None:
    monkeypatch.setattr("collab_core.cli._catch_signals", lambda control: None)
    log = tmp_path / "run.jsonl"
    async with ModelServer(lambda request: ANSWER) as server:
        assert await command(server, "--log", str(log), *given) == 0
        asked = server.requests[-1].json.get("tools") or []
        # the log belongs to this choice
        assert await command(server, "--log", str(log), "--tools", "compose") == 2
    assert tuple(tool["function"]["name"] for tool in asked) == shown
    started = [r.event for r in read_log(log.read_bytes(), name="log") if r.seq == 1]
    assert isinstance(started[0], ev.RunStarted)
    assert started[0].tools == shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", " ", "--tier", "small=http://127.0.0.1:9/v1#m"],
        ["run", "question"],
        ["run", "question", "--tier", "small=nonsense"],
        ["run", "question", "--tier", "small=http://127.0.0.1:9/v1#m", "--param", "growth=-1"],
        ["run", "question", "--tier", "small=http://127.0.0.1:9/v1#m", "--param", "growth"],
        ["run", "question", "--tier", "small=http://127.0.0.1:9/v1#m", "--tools", "telepathy"],
        ["run", "question", "--tier", "small=http://127.0.0.1:9/v1#m", "--tools", "search"],
    ],
)
def test_wrong_usage_says_what_to_do(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip()
