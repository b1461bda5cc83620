"""Servers over their standard streams: a real one of the official package, shared by the tests that
leave it alive, and one by hand that misbehaves.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from collab_core.errors import InvalidInput, ToolFailed
from collab_core.tools.base import MAX_OBSERVATION_CHARS, ToolOutcome, tools_json
from collab_core.tools.mcp_client import client as mcp_client
from collab_core.tools.mcp_client.client import McpServer
from collab_core.tools.mcp_client.config import ServerConfig

FAKE = Path(__file__).resolve().parents[3] / "fakes" / "mcp_server.py"
FLOODER = FAKE.with_name("mcp_flooder.py")


def _config(**changes: Any) -> ServerConfig:
    known: dict[str, Any] = {"command": sys.executable, "args": [str(FAKE)], "call_s": 20}
    return ServerConfig.model_validate(known | changes)


real = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[McpServer]:
    made = McpServer(
        "fake", _config(env={"SERVER_KEY": "Bearer ${GIVEN}"}), environ={"GIVEN": "sesame"}
    )
    yield made
    await made.aclose()


@pytest.fixture
async def bad() -> AsyncIterator[McpServer]:
    made = McpServer("bad", _config(args=[str(FLOODER)], call_s=1), environ={})
    yield made
    await made.aclose()


async def _use(server: McpServer, tool: str, **arguments: Any) -> ToolOutcome:
    return await server.call(tool, arguments)


@real
async def test_tools_are_listed_under_valid_names_in_a_fixed_order(server: McpServer) -> None:
    tools = await server.tools()
    assert [tool.name for tool in tools][:4] == [
        "fake__add_two", "fake__boom", "fake__die", "fake__echo"
    ]  # fmt: skip
    add = json.loads(tools_json(tools))[0]["function"]
    assert add["description"] == "Add two numbers. (tool add.two of the server fake)"
    assert add["parameters"]["properties"]["second"]["default"] == 2
    assert add["parameters"]["required"] == ["first"]
    assert await server.tools() is tools


@real
async def test_a_tool_is_called_with_its_arguments(server: McpServer) -> None:
    add = (await server.tools())[0]
    assert (await add({"first": 40})).text == "42"


@real
async def test_one_connection_serves_many_runs_at_once(server: McpServer) -> None:
    said = await asyncio.gather(*(_use(server, "echo", text=f"run {n}") for n in range(20)))
    assert [outcome.text for outcome in said] == [f"run {n}" for n in range(20)]


@real
async def test_a_tool_that_fails_is_a_failure_with_its_words(server: McpServer) -> None:
    with pytest.raises(ToolFailed, match="the boiler is cold"):
        await _use(server, "boom")
    with pytest.raises(ToolFailed, match="first"):
        await _use(server, "add.two", first="no number")
    with pytest.raises(ToolFailed):
        await _use(server, "no_such_tool")
    assert (await _use(server, "echo", text="still there")).text == "still there"


@real
async def test_a_long_result_is_cut_and_says_so(server: McpServer) -> None:
    seen = await _use(server, "long", chars=100_000)
    assert (len(seen.text), seen.truncated) == (MAX_OBSERVATION_CHARS, True)


@real
async def test_only_text_is_shown(server: McpServer) -> None:
    seen = await _use(server, "picture")
    assert seen.text == "a picture:\n[image left out: only text can be shown]"


@real
async def test_hostile_descriptions_are_harmless(server: McpServer) -> None:
    assert "\x00" not in (await _use(server, "hostile")).text
    tool = next(tool for tool in await server.tools() if tool.name == "fake__hostile")
    assert "<" not in tool.description


@real
async def test_the_server_sees_only_the_variables_that_it_was_given(server: McpServer) -> None:
    said = (await _use(server, "environment")).text.split()
    assert said[:2] == ["Bearer", "sesame"]
    assert set(said[2:]) <= {
        "HOME",
        "LANG",
        "LC_CTYPE",
        "LOGNAME",
        "PATH",
        "SERVER_KEY",
        "SHELL",
        "TERM",
        "USER",
    }


@pytest.mark.parametrize("how", ["line", "lines", "deaf", "wrong", "die"])
async def test_a_server_that_misbehaves_is_an_observation_and_is_started_anew(
    bad: McpServer, how: str
) -> None:
    with pytest.raises(ToolFailed, match="broke off"):
        await _use(bad, how)
    assert (await _use(bad, "fine")).text == "fine"


@pytest.mark.parametrize("how", ["hang", "garbage"])
async def test_a_server_that_does_not_answer_is_given_up_and_started_anew(
    bad: McpServer, how: str
) -> None:
    with pytest.raises(ToolFailed, match="did not answer in time"):
        await _use(bad, how)
    assert (await _use(bad, "fine")).text == "fine"


async def test_a_slow_call_does_not_end_a_server_that_answers_others(bad: McpServer) -> None:
    """Only one that answered nobody meanwhile is taken for dead."""
    await bad.tools()
    link = bad._link
    assert link is not None
    link.answered_at = float("inf")
    assert "did not answer in time" in bad._hung(link, 0.0).message
    assert link.usable


async def test_closing_takes_the_servers_children_along(bad: McpServer) -> None:
    child = int((await _use(bad, "spawn")).text)
    await bad.aclose()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text():
            return
        await asyncio.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the child of the server is still running")


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "/no/such/command"},
        {"command": "/bin/false", "args": []},
        {"command": "/bin/sleep", "args": ["60"]},
        {"command": "/bin/cat", "args": []},
    ],
)
async def test_a_server_that_cannot_be_started_is_said_in_time(changes: dict[str, Any]) -> None:
    server = McpServer("fake", _config(**changes, connect_s=1), environ={})
    with pytest.raises(ToolFailed, match="could not be started"):
        await server.tools()
    with pytest.raises(ToolFailed, match="is not available"):
        await server.tools()
    await server.aclose()


async def test_a_server_that_failed_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_client, "RETRY_AFTER_S", 0.0)
    server = McpServer("fake", _config(command="/bin/false", connect_s=5), environ={})
    for _ in range(2):
        with pytest.raises(ToolFailed, match="could not be started"):
            await server.tools()
    await server.aclose()


async def test_only_the_chosen_tools_are_offered() -> None:
    server = McpServer("bad", _config(args=[str(FLOODER)], tools=["fine"]), environ={})
    assert [tool.name for tool in await server.tools()] == ["bad__fine"]
    await server.aclose()
    server = McpServer("bad", _config(args=[str(FLOODER)], tools=["fine", "gone"]), environ={})
    with pytest.raises(InvalidInput, match="has no tool 'gone'"):
        await server.tools()
    await server.aclose()


async def test_a_missing_variable_is_said_by_name() -> None:
    server = McpServer("fake", _config(env={"A": "${NOT_THERE}"}), environ={})
    with pytest.raises(InvalidInput, match="NOT_THERE is not set"):
        await server.tools()
