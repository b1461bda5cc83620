from __future__ import annotations

import pytest

from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend, ScriptExhausted
from collab_core.domain import Attempt, Tier, ToolCall
from collab_core.errors import RateLimited
from collab_core.transcript import Transcript

REQUEST = ModelRequest(
    tier=Tier(name="small", model="m", base_url="http://h/v1"), transcript=Transcript()
)


async def test_replies_come_in_turn_and_requests_are_kept() -> None:
    backend = ScriptedBackend([ModelReply(text="a"), lambda r: ModelReply(text=r.tier.name)])
    texts = [(await backend.complete(REQUEST)).text for _ in range(2)]
    assert (texts, backend.requests) == (["a", "small"], [REQUEST, REQUEST])


async def test_an_exception_is_raised() -> None:
    backend = ScriptedBackend([RateLimited("slow down"), lambda _: RateLimited("still")])
    for words in ("slow down", "still"):
        with pytest.raises(RateLimited, match=words):
            await backend.complete(REQUEST)


async def test_one_call_too_many_is_told() -> None:
    with pytest.raises(ScriptExhausted, match="call 1"):
        await ScriptedBackend([]).complete(REQUEST)


async def test_the_text_streams_with_offsets() -> None:
    call = ToolCall(id="1", name="search", arguments='{"query": "a long question"}')
    failed = Attempt(code="endpoint_failed", message="x", duration_s=1)
    reply = ModelReply(text="t" * 20, reasoning="r", tool_calls=(call,), attempts=(failed,))
    seen: list[tuple[int, int, str, str]] = []
    await ScriptedBackend([reply]).complete(REQUEST, lambda *part: seen.append(part))
    assert [s for s in seen if s[3] == "text"] == [
        (1, 0, "t" * 16, "text"),
        (1, 16, "tttt", "text"),
    ]
    calls = "".join(s[2] for s in seen if s[3] == "tool_call")
    assert calls == 'search {"query": "a long question"}'
