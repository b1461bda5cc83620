from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from collab_core import events as ev
from collab_core.cli import main
from collab_core.runtime.journal import read_log
from collab_core.simulator.presets import load_preset
from collab_core.simulator.server import SimulatedServer
from tests.fakes.model_server import ModelServer, Reply, delta, sse, usage

ANSWER = Reply(
    actions=(
        sse(delta(content="<answer>Paris</answer>"), delta(finish="stop"), usage(completion=5)),
    )
)


async def command(server: ModelServer, *more: str) -> int:
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


@pytest.mark.parametrize(("scorer", "outcome"), [("number", "correct"), ("exact", "incorrect")])
async def test_a_run_is_scored_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scorer: str, outcome: str
) -> None:
    monkeypatch.setattr("collab_core.cli._catch_signals", lambda control: None)
    said = sse(delta(content="<answer>6 x 7 = 42</answer>"), delta(finish="stop"), usage())
    log = tmp_path / "run.jsonl"
    async with ModelServer(lambda request: Reply(actions=(said,))) as server:
        more = ("--log", str(log), "--gold", "42", "--scorer", scorer)
        assert await command(server, *more) == 0
    end = read_log(log.read_bytes(), name="log")[-1].event
    assert isinstance(end, ev.RunFinished)
    assert end.outcome == outcome


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (["--param", "temperature=0.2"], "other parameters"),
        (["--max-steps", "3"], "other limits"),
        (["--tier", "large=http://127.0.0.1:9/v1#m"], "other tiers"),
    ],
)
async def test_a_log_is_only_resumed_by_the_run_it_belongs_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: list[str],
    named: str,
) -> None:
    monkeypatch.setattr("collab_core.cli._catch_signals", lambda control: None)
    log = tmp_path / "run.jsonl"
    async with ModelServer(lambda request: ANSWER) as server:
        assert await command(server, "--log", str(log)) == 0
        assert await command(server, "--log", str(log), *changed) == 2
    assert named in capsys.readouterr().err


async def test_a_run_on_a_simulator_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collab_core.cli._catch_signals", lambda control: None)
    log = tmp_path / "run.jsonl"
    preset = load_preset("ddv2-7b-38b")
    server = SimulatedServer([preset], time_scale=0.0)
    runner = server.runner()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    arguments = ["run", "1 + 1?", "--plain", "--strategy", "small", "--log", str(log)]
    arguments += ["--tier", f"small={address}#{preset.models[0].name}"]
    await asyncio.to_thread(main, arguments)
    await runner.cleanup()
    queued = read_log(log.read_bytes(), name="log")[0].event
    assert isinstance(queued, ev.RunQueued)
    assert queued.simulated


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
