"""A run's tools, from the form, REST and the services to the worker and back to the page."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from collab_core.backends.base import ModelReply
from collab_core.domain import ToolCall, Usage
from collab_core.errors import InvalidInput
from collab_core.events import RunFailed, RunQueued, RunStarted, ToolReturned
from collab_core.tools.settings import ToolSettings, read_settings
from tests.services import wait_for
from tests.webapp.personas import Room, Script, answer_reply, make_collection, make_room, step_reply
from tests.webapp.runs import oracle
from tests.webapp.runs.test_fold import finished
from webapp.runs import leases, services, tools
from webapp.runs.models import Run
from webapp.runs.services import _insert
from webapp.runs.worker import Worker

FAKES = Path(__file__).resolve().parents[2] / "fakes"
DEFAULT = ["search", "read", "calculator"]


@pytest.fixture(autouse=True)
def _no_report() -> Iterator[None]:
    cache.delete(tools.SANDBOX)
    yield
    cache.delete(tools.SANDBOX)


def _with_server(folder: Path, *, args: list[str], connect_s: float = 20) -> ToolSettings:
    server = {"command": sys.executable, "args": args, "connect_s": connect_s}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"fake": server}}))
    return read_settings({"TANDEM_MCP_CONFIG": str(folder / "mcp.json")})


# --- submission ---------------------------------------------------------------------------------
def test_without_a_choice_a_run_has_the_default_tools(room: Room) -> None:
    assert room.submit().tools == ["calculator"]
    assert room.submit(collection=make_collection(room)).tools == DEFAULT


def test_the_choice_is_stored_in_the_fixed_order_and_in_the_log(room: Room) -> None:
    run = room.submit(tools=["read_page", "compose", "calculator"])
    assert run.tools == ["calculator", "compose", "read_page"]
    [first] = leases.read_history(run.pk)
    assert isinstance(first.event, RunQueued)
    assert first.event.tools == ("calculator", "compose", "read_page")


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        (["telepathy"], "no tool 'telepathy'"),
        (["search"], "needs a document collection"),
        (["web_search"], "TANDEM_SEARCH_URL"),
        (["mcp:none"], "no tool 'mcp:none'"),
    ],
)
def test_a_tool_that_cannot_be_had_is_refused(room: Room, chosen: list[str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        room.submit(tools=chosen)
    assert refused.value.field == "tools"
    assert not Run.objects.exists()


def test_python_is_refused_once_a_worker_has_reported_no_sandbox(room: Room) -> None:
    assert room.submit(tools=["python"]).tools == ["python"]
    cache.set(tools.SANDBOX, {"tier": "off", "reason": "bubblewrap is missing"})
    with pytest.raises(InvalidInput, match="bubblewrap is missing"):
        room.submit(tools=["python"])


def test_a_worker_reports_its_sandbox() -> None:
    report = tools.report_sandbox()
    known = tools.reported_sandbox()
    assert known is not None
    assert (known.tier, known.reason) == (report.tier, report.reason[:500])


def test_a_rerun_has_the_same_tools(room: Room) -> None:
    run = room.submit(tools=["compose"])
    assert services.rerun(run, room.users["bob"]).tools == ["compose"]


def test_a_fork_has_its_parents_tools_or_says_which_is_gone(room: Room, settings: Any) -> None:
    run = room.submit(tools=["compose", "read_page"])
    _insert(run.pk, 1, 1.0, [finished(1), finished(2)])
    Run.objects.filter(pk=run.pk).update(next_seq=3)
    forked = partial(
        services.fork, run, room.users["bob"], after_step=1, strategy="small", parameters={},
        ladder=room.ladder,
    )  # fmt: skip
    assert forked().tools == ["compose", "read_page"]
    settings.TOOLS = read_settings({"TANDEM_READ_PAGE": "0"})
    with pytest.raises(InvalidInput, match="read_page is not available"):
        forked()


# --- the form, REST and the page ----------------------------------------------------------------
def _form(room: Room, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "question": "What is six times seven?", "ladder": str(room.ladder.uuid), "collection": "",
        "strategies": "small", "max_steps": 5, "max_output_tokens": 64, "tools_shown": "True",
    }  # fmt: skip
    return fields | changes


def test_the_form_shows_what_there_is_and_why_something_is_not(bob: Client) -> None:
    page = bob.get("/runs/new/").content.decode()
    for name in ("search", "read", "calculator"):
        assert f'name="tools" value="{name}" checked' in page
    assert 'name="tools" value="compose">' in page
    assert 'name="tools" value="web_search" disabled' in page
    assert "No search service is set up" in page


@pytest.mark.parametrize(
    ("ticked", "stored"),
    [
        (["calculator", "read_page"], ["calculator", "read_page"]),
        (DEFAULT, ["calculator"]),  # without a collection there is nothing to search
        ([], []),
    ],
)
def test_the_forms_boxes_are_the_runs_tools(
    room: Room, bob: Client, ticked: list[str], stored: list[str]
) -> None:
    assert bob.post("/runs/new/", _form(room, tools=ticked)).status_code == 302
    assert Run.objects.get().tools == stored


def test_a_form_without_boxes_means_the_default(room: Room, bob: Client) -> None:
    bob.post("/runs/new/", _form(room, tools_shown=""))
    assert Run.objects.get().tools == ["calculator"]


def test_a_box_that_is_not_available_is_refused_at_its_place(room: Room, bob: Client) -> None:
    answer = bob.post("/runs/new/", _form(room, tools=["web_search"]))
    assert answer.status_code == 422
    assert "The tool web_search is not available" in answer.content.decode()


def test_the_boxes_of_another_run_are_ticked_again(room: Room, bob: Client) -> None:
    run = room.submit(tools=["compose"])
    page = bob.get(f"/runs/new/?like={run.uuid}").content.decode()
    assert 'value="compose" checked' in page
    assert 'value="calculator" checked' not in page


def test_rest_takes_and_shows_the_tools(room: Room) -> None:
    client, headers = Client(), room.bearer("bob")
    names = [offer["name"] for offer in client.get("/api/v1/tools", **headers).json()]
    assert names[:3] == DEFAULT
    body = {"question": "?", "ladder": room.ladder.name, "strategy": "small", "tools": ["compose"]}
    made = client.post("/api/v1/runs", json.dumps(body), content_type="application/json", **headers)
    assert (made.status_code, made.json()["tools"], made.json()["sandbox"]) == (
        201,
        ["compose"],
        "",
    )
    body["tools"] = ["search"]
    refused = client.post(
        "/api/v1/runs", json.dumps(body), content_type="application/json", **headers
    )
    assert (refused.status_code, refused.json()["field"]) == (422, "tools")


def test_the_runs_page_shows_its_tools_and_sandbox(room: Room, bob: Client) -> None:
    run = room.submit(tools=["python", "read_page"])
    Run.objects.filter(pk=run.pk).update(sandbox="strong")
    page = bob.get(f"/runs/{run.uuid}/").content.decode()
    assert "<dd>python, read page</dd>" in page
    assert "<dt>Sandbox</dt><dd>strong</dd>" in page


def test_a_run_of_an_older_version_goes_on_with_the_default(room: Room, bob: Client) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(tools=None)
    assert "<dt>Tools</dt>" not in bob.get(f"/runs/{run.uuid}/").content.decode()


# --- the worker ---------------------------------------------------------------------------------
@pytest.fixture
def start(settings: Any) -> Iterator[Callable[..., Worker]]:
    """Start workers with settings of their own on a scripted backend; all are stopped at the end."""
    started: list[Worker] = []

    def make(*replies: ModelReply, offered: ToolSettings | None = None) -> Worker:
        settings.TOOLS = offered or ToolSettings()
        one = Worker(backend=lambda: Script(replies or [step_reply(), answer_reply()]))
        one.start()
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()


@pytest.fixture
def live_room(transactional_db: None) -> Room:
    return make_room()


def _call(tool: str, **arguments: Any) -> ModelReply:
    call = ToolCall(id="c1", name=tool, arguments=json.dumps(arguments))
    return ModelReply(
        text="I act.", tool_calls=(call,), finish_reason="tool_calls", usage=Usage(output_tokens=5)
    )


def _events(run: Run, kind: type) -> list[Any]:
    return [r.event for r in leases.read_history(run.pk) if isinstance(r.event, kind)]


def test_python_runs_and_the_log_says_in_which_sandbox(
    live_room: Room, start: Callable[..., Worker]
) -> None:
    run = live_room.submit(tools=["python", "calculator"])
    start(_call("python", code="print(6 * 7)"), answer_reply()).run(run.pk)
    run.refresh_from_db()
    [started] = _events(run, RunStarted)
    assert started.tools == ("calculator", "python")
    assert started.sandbox == run.sandbox == tools.report_sandbox().tier
    assert [e.observation for e in _events(run, ToolReturned)] == ["42"]
    oracle.check([run])


def test_a_servers_tool_is_used_in_a_run(
    live_room: Room, start: Callable[..., Worker], settings: Any, tmp_path: Path
) -> None:
    offered = _with_server(tmp_path, args=[str(FAKES / "mcp_server.py")])
    settings.TOOLS = offered
    run = live_room.submit(tools=["mcp:fake"])
    start(_call("fake__echo", text="hello"), answer_reply(), offered=offered).run(run.pk)
    [returned] = _events(run, ToolReturned)
    assert (returned.observation, returned.error) == ("hello", False)
    assert _events(run, RunStarted)[0].sandbox == ""
    oracle.check([run])


def test_a_server_that_dies_in_mid_run_does_not_break_the_run(
    live_room: Room, start: Callable[..., Worker], settings: Any, tmp_path: Path
) -> None:
    offered = _with_server(tmp_path, args=[str(FAKES / "mcp_server.py")])
    settings.TOOLS = offered
    run = live_room.submit(tools=["mcp:fake"])
    replies = (_call("fake__die"), _call("fake__echo", text="again"), answer_reply())
    start(*replies, offered=offered).run(run.pk)
    died, again = _events(run, ToolReturned)
    assert (died.error, again.observation) == (True, "again")
    run.refresh_from_db()
    assert run.status == "finished"


@pytest.mark.parametrize("name", ["python", "web_search", "read_page", "mcp:fake"])
def test_a_worker_without_the_tool_fails_the_run_at_once_and_says_why(
    live_room: Room,
    start: Callable[..., Worker],
    settings: Any,
    tmp_path: Path,
    name: str,
) -> None:
    """The web process may have other settings than the worker."""
    (tmp_path / "mcp.json").write_text('{"servers": {"fake": {"command": "/bin/false"}}}')
    values = {
        "TANDEM_SEARCH_URL": "https://search.example",
        "TANDEM_MCP_CONFIG": str(tmp_path / "mcp.json"),
    }
    settings.TOOLS = read_settings(values)
    run = live_room.submit(tools=[name])
    start(offered=read_settings({"TANDEM_SANDBOX": "off", "TANDEM_READ_PAGE": "0"})).run(run.pk)
    [failed] = _events(run, RunFailed)
    assert failed.code == "invalid_input"
    assert name in failed.message
    assert failed.hint
    oracle.check([run])


def test_stopping_a_run_does_not_wait_for_a_server_that_starts_slowly(
    live_room: Room, start: Callable[..., Worker], settings: Any, tmp_path: Path
) -> None:
    settings.TOOLS = offered = _with_server(tmp_path, args=["-c", "import time; time.sleep(60)"])
    run = live_room.submit(tools=["mcp:fake"])
    future = start(offered=offered).submit(run.pk)
    wait_for(lambda: Run.objects.get(pk=run.pk).owner != "", 10)
    time.sleep(0.5)
    services.cancel(run, live_room.users["bob"])
    future.result(timeout=10)
    run.refresh_from_db()
    assert run.status == "cancelled"
    oracle.check([run])
