"""The request body: the transcript's own bytes between a fixed head and a small tail.

Key order and the bytes of head and tools never change within a run, so a server's prefix cache sees
the same prompt at every step, and nothing walks the history again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from collab_core.backends.base import ModelRequest

OPTIONAL_FIELDS = ("stream_options", "logprobs", "seed", "priority")
"""Fields that a server may refuse by name without changing what the call means."""

_encode = msgspec.json.Encoder().encode
_TOOL_WORDS = frozenset({"auto", "none", "required"})


def encode_request(request: ModelRequest, *, without: Collection[str] = ()) -> bytes:
    """Return the JSON body; ``without`` names optional fields this server does not take."""
    parts: list[bytes | bytearray] = [b'{"model":', _encode(request.tier.model), b',"messages":']
    parts += request.transcript.pieces(request.suffix)
    if request.tools_json:
        choice = _encode(_tool_choice(request.tool_choice))
        parts += [b',"tools":', request.tools_json, b',"tool_choice":', choice]
    parts += [b",", _encode(_tail(request, without))[1:]]
    return b"".join(parts)


def _tool_choice(choice: str) -> str | dict[str, Any]:
    if choice in _TOOL_WORDS:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _tail(request: ModelRequest, without: Collection[str]) -> dict[str, Any]:
    limit = "max_completion_tokens" if "max_tokens" in without else "max_tokens"
    tail: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        limit: request.max_output_tokens,
    }
    if request.stop:
        tail["stop"] = list(request.stop)
    if request.seed is not None:
        tail["seed"] = request.seed
    if request.logprobs:
        # vLLM counts the sampled token among them, so two would not always hold the top two
        tail |= {"logprobs": True, "top_logprobs": 3}
    if request.structured is not None and request.tier.structured_output:
        tail["structured_outputs"] = request.structured
    if request.priority is not None and request.tier.supports_priority:
        tail["priority"] = request.priority
    tail |= {"stream": True, "stream_options": {"include_usage": True}}
    for name in without:
        tail.pop(name, None)
        if name == "logprobs":
            tail.pop("top_logprobs", None)
    return tail


def sent_fields(request: ModelRequest) -> frozenset[str]:
    """Return the optional fields that this request carries."""
    return frozenset(_tail(request, ())) & frozenset((*OPTIONAL_FIELDS, "max_tokens"))
