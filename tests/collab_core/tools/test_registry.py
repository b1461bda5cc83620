from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.base import tools_json
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import (
    NAMES,
    Catalogue,
    available,
    build_tools,
    chosen_names,
    default_names,
)
from collab_core.tools.sandbox import SandboxReport
from collab_core.tools.settings import ToolSettings, read_settings

FAKE_SERVER = Path(__file__).resolve().parents[2] / "fakes" / "mcp_server.py"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.txt").write_text("The bridge was built by Ada Quill.", encoding="utf-8")
    index_folder(tmp_path / "s", tmp_path / "a.db")
    return tmp_path / "a.db"


def _settings(folder: Path, **values: str) -> ToolSettings:
    """Return settings with everything: a search service and an MCP server."""
    servers = {"fake": {"command": sys.executable, "args": [str(FAKE_SERVER)], "tools": ["echo"]}}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    known = {
        "TANDEM_SEARCH_URL": "https://search.example",
        "TANDEM_MCP_CONFIG": str(folder / "mcp.json"),
    }
    return read_settings(known | values, environ={})


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    made = Catalogue(_settings(tmp_path))
    yield made
    await made.aclose()


def _reason(settings: ToolSettings, name: str, sandbox: SandboxReport | None = None) -> str:
    return next(offer.reason for offer in available(settings, sandbox) if offer.name == name)


# --- what a run has when nobody chose -----------------------------------------------------------
def test_the_default_order_is_fixed(index: Path) -> None:
    tools = build_tools(index)
    assert [tool.name for tool in tools] == ["search", "read", "calculator"]
    assert tools_json(tools) == tools_json(build_tools(index))


def test_without_a_collection_there_is_the_calculator() -> None:
    (schema,) = json.loads(tools_json(build_tools(None)))
    assert schema["function"]["name"] == "calculator"


def test_a_missing_collection_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        build_tools(tmp_path / "none.db")


async def test_the_catalogue_builds_the_same_default(catalogue: Catalogue, index: Path) -> None:
    built = await catalogue.build(None, index)
    assert tools_json(built.tools) == tools_json(build_tools(index))
    assert built.sandbox == ""


# --- choosing -----------------------------------------------------------------------------------
async def test_chosen_tools_come_in_the_fixed_order(catalogue: Catalogue, index: Path) -> None:
    chosen = ["mcp:fake", "web_search", "read_page", "compose", "calculator", "read", "search"]
    built = await catalogue.build(chosen, index)
    assert [tool.name for tool in built.tools] == [
        "search", "read", "calculator", "compose", "read_page", "web_search", "fake__echo"
    ]  # fmt: skip


async def test_python_runs_in_the_sandbox_that_the_run_is_told(catalogue: Catalogue) -> None:
    built = await catalogue.build(["python"], None)
    (python,) = built.tools
    assert built.sandbox in ("strong", "reduced")
    assert (await python({"code": "print(6 * 7)"})).text == "42"


async def test_no_tool_at_all_is_a_choice(catalogue: Catalogue) -> None:
    assert (await catalogue.build([], None)).tools == ()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["telepathy"], "no tool 'telepathy'"),
        (["mcp:gone"], "no tool 'mcp:gone'"),
        (["search"], "search needs a document collection"),
        (["calculator", "read"], "read needs a document collection"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        chosen_names(names, available(_settings(tmp_path)), collection=False)
    assert refused.value.field == "tools"
    assert refused.value.hint


def test_a_tool_chosen_twice_is_there_once(tmp_path: Path) -> None:
    offers = available(_settings(tmp_path))
    assert chosen_names(["compose", "compose"], offers, collection=False) == ("compose",)
    assert chosen_names(None, offers, collection=True) == default_names(collection=True)


# --- what is available --------------------------------------------------------------------------
def test_every_offer_says_why_it_is_not_available() -> None:
    settings = read_settings({"TANDEM_READ_PAGE": "0"}, environ={})
    off = SandboxReport(tier="off", reason="no bubblewrap here")
    reasons = {offer.name: offer.reason for offer in available(settings, off)}
    assert list(reasons) == list(NAMES)
    assert {name for name, reason in reasons.items() if reason} == {
        "python", "read_page", "web_search"
    }  # fmt: skip
    assert "no bubblewrap here" in reasons["python"]
    assert "TANDEM_READ_PAGE" in reasons["read_page"]
    assert "TANDEM_SEARCH_URL" in reasons["web_search"]


def test_a_missing_variable_makes_a_tool_unavailable_by_name(tmp_path: Path) -> None:
    settings = _settings(tmp_path, TANDEM_SEARCH_HEADER="X-Key: ${FIND_API_KEY}")
    assert "FIND_API_KEY" in _reason(settings, "web_search")
    servers = {"a": {"command": "x", "env": {"K": "${SERVER_KEY}"}}}
    (tmp_path / "mcp.json").write_text(json.dumps({"servers": servers}))
    settings = read_settings({"TANDEM_MCP_CONFIG": str(tmp_path / "mcp.json")}, environ={})
    assert "SERVER_KEY" in _reason(settings, "mcp:a")


async def test_a_tool_that_is_not_available_cannot_be_built() -> None:
    catalogue = Catalogue(read_settings({"TANDEM_READ_PAGE": "0"}, environ={}))
    for name in ("read_page", "web_search"):
        with pytest.raises(InvalidInput, match=f"{name} is not available"):
            await catalogue.build([name], None)
    await catalogue.aclose()


async def test_a_sandbox_that_is_switched_off_says_so() -> None:
    catalogue = Catalogue(read_settings({"TANDEM_SANDBOX": "off"}, environ={}))
    with pytest.raises(InvalidInput, match="TANDEM_SANDBOX=off"):
        await catalogue.build(["python"], None)
    await catalogue.aclose()


async def test_a_server_that_cannot_be_reached_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text(json.dumps({"servers": {"a": {"command": "/bin/false"}}}))
    settings = read_settings({"TANDEM_MCP_CONFIG": str(tmp_path / "mcp.json")}, environ={})
    catalogue = Catalogue(settings)
    with pytest.raises(InvalidInput, match="MCP server a cannot be had") as refused:
        await catalogue.build(["mcp:a"], None)
    assert "worker's log" in refused.value.hint
    await catalogue.aclose()


# --- opened once --------------------------------------------------------------------------------
async def test_a_collection_that_is_indexed_again_is_opened_again(
    catalogue: Catalogue, index: Path
) -> None:
    async def found() -> str:
        search = (await catalogue.build(None, index)).tools[0]
        return (await search({"query": "bridge"})).text

    assert "Ada Quill" in await found()
    (index.parent / "s" / "a.txt").write_text("The bridge was built by Tamsin Orr.")
    index_folder(index.parent / "s", index)
    assert "Tamsin Orr" in await found()


async def test_runs_share_connections_but_not_pages(catalogue: Catalogue, index: Path) -> None:
    first: Any = (await catalogue.build(["search", "read_page"], index)).tools
    second: Any = (await catalogue.build(["search", "read_page"], index)).tools
    assert first[0]._collection is second[0]._collection
    assert first[1]._fetcher is second[1]._fetcher
    assert first[1]._kept is not second[1]._kept


# --- settings -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "values",
    [
        {"TANDEM_FETCH_ALLOW": "a b"},
        {"TANDEM_READ_PAGE": "perhaps"},
        {"TANDEM_SANDBOX": "strongest"},
        {"TANDEM_SEARCH_URL": "search.example"},
        {"TANDEM_SEARCH_URL": "https://x", "TANDEM_SEARCH_FIELDS": "nonsense"},
        {"TANDEM_SEARCH_URL": "https://x", "TANDEM_SEARCH_HEADER": "no colon"},
        {"TANDEM_MCP_CONFIG": "/no/such/file.json"},
    ],
)
def test_a_setting_that_cannot_be_used_stops_loudly(values: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_settings(values, environ={})
    assert refused.value.field in values


def test_the_allow_list_is_read() -> None:
    settings = read_settings({"TANDEM_FETCH_ALLOW": " wiki.intern:8080, 10.0.0.0/8 ,"}, environ={})
    assert len(settings.policy.allowed) == 2
