from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.mcp_client.config import MAX_CONFIG_BYTES, ServerConfig, read_servers


def _file(folder: Path, content: object, name: str = "mcp.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_file_of_other_clients_is_read(tmp_path: Path) -> None:
    content = {
        "mcpServers": {
            "web": {"type": "http", "url": "https://mcp.example/mcp",
                    "headers": {"Authorization": "Bearer ${WEB_KEY}"}},
            "files": {"command": "files-server", "args": ["--root", "/srv"], "env": {"KEY": "${K}"}},
        }
    }  # fmt: skip
    servers = read_servers(_file(tmp_path, content))
    assert list(servers) == ["files", "web"]
    assert servers["files"].args == ("--root", "/srv")
    assert servers["web"].filled(servers["web"].headers, {"WEB_KEY": "x"}) == {
        "Authorization": "Bearer x"
    }


def test_toml_is_read_too(tmp_path: Path) -> None:
    text = '[servers.files]\ncommand = "files-server"\ntools = ["read"]\ncall_s = 5\n'
    server = read_servers(_file(tmp_path, text, "mcp.toml"))["files"]
    assert (server.command, server.tools, server.call_s) == ("files-server", ("read",), 5)


def _server(**fields: Any) -> dict[str, Any]:
    return {"servers": {"a": fields}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ([], "valid dictionary"),
        ({"serverz": {}}, "serverz"),
        (_server(), 'either "command" or "url"'),
        (_server(command="x", url="http://x"), 'either "command" or "url"'),
        (_server(command="x", type="http"), "does not fit"),
        (_server(url="http://x", type="stdio"), "does not fit"),
        (_server(url="file:///x"), "http.s. address"),
        (_server(url="http://user:pw@x/"), "http.s. address"),
        (_server(command="x", env={"KEY": "literal-secret"}), "from the environment"),
        (_server(url="http://x", headers={"A": "literal-secret"}), "from the environment"),
        (_server(command="x", call_s=0), "greater than 0"),
        (_server(command="x", shell=True), "Extra inputs"),
        ({"servers": {"Bad Name": {"command": "x"}}}, "pattern"),
        ({"servers": {f"s{n}": {"command": "x"} for n in range(21)}}, "at most 20"),
        (" " * (MAX_CONFIG_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        read_servers(_file(tmp_path, content))
    assert "literal-secret" not in refused.value.message


def test_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_servers(tmp_path / "none.json")
    (tmp_path / "bad.toml").write_bytes(b"\xff = [")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_servers(tmp_path / "bad.toml")


def test_a_variable_that_is_not_set_is_named() -> None:
    config = ServerConfig(command="x", env={"A": "${NOT_SET}"})
    assert config.missing_variable({}) == "The variable NOT_SET is not set."
    assert config.missing_variable({"NOT_SET": ""}) == ""
