"""An MCP server by hand that answers properly until a tool is called: the tool's name says what then.

``line``: one line without end. ``lines``: notifications without end. ``garbage``: no JSON, then silence.
``wrong``: a reply of another shape. ``deaf``: it closes its output but goes on living. ``die``: it ends.
``hang``: it never answers. ``spawn``: it leaves a child behind and says which. ``fine``: it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

TOOLS = ("line", "lines", "garbage", "wrong", "deaf", "die", "hang", "spawn", "fine")


def main() -> None:
    for text in sys.stdin:
        message = json.loads(text)
        if "id" in message:
            reply = answer(message["method"], message.get("params") or {})
            body = {"jsonrpc": "2.0", "id": message["id"], **reply}
            os.write(1, json.dumps(body).encode() + b"\n")


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        info = {"name": "flooder", "version": "1"}
        version = params["protocolVersion"]
        return {
            "result": {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
        }
    if method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        return {"result": {"tools": tools}}
    if method == "tools/call":
        return call(params["name"])
    return {"error": {"code": -32601, "message": "no such method"}}


def call(name: str) -> dict[str, Any]:
    if name == "line":
        while True:
            os.write(1, b"x" * 65_536)
    if name == "lines":
        while True:
            os.write(1, b'{"jsonrpc":"2.0","method":"notifications/x"}\n' * 1_000)
    if name == "garbage":
        os.write(1, b"\xff\xfe not json\n[1,2]\n")
        time.sleep(60)
    if name in ("deaf", "hang"):
        if name == "deaf":
            os.close(1)
        time.sleep(60)
    if name == "die":
        os._exit(3)
    if name == "spawn":
        child = subprocess.Popen(["/bin/sleep", "600"], stdout=subprocess.DEVNULL)
        return said(str(child.pid))
    if name == "wrong":
        return {"result": {"content": "no list"}}
    return said("fine")


def said(text: str) -> dict[str, Any]:
    return {"result": {"content": [{"type": "text", "text": text}]}}


if __name__ == "__main__":
    main()
