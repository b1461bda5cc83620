from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.simulator.speed import (
    BLOCK_TOKENS,
    BYTES_PER_TOKEN,
    PrefixCache,
    Speed,
    count_tokens,
    render_prompt,
    split_tokens,
)

BLOCK = BLOCK_TOKENS * BYTES_PER_TOKEN


def test_times_by_hand() -> None:
    speed = Speed(overhead_s=0.1, prefill_s_per_token=0.001, load_factor=3.0, max_num_seqs=5)
    assert speed.first_token_s(1_000, 600) == pytest.approx(0.5)
    assert [speed.slow_down(n) for n in (1, 3, 5, 9)] == [1.0, 2.0, 3.0, 3.0]


def test_a_growing_prompt_is_cached_in_whole_blocks() -> None:
    cache = PrefixCache()
    prompt = bytes(range(256)) * 4
    assert cache.take(prompt) == 0
    assert cache.take(prompt + b"more" * 200) == len(prompt) // BLOCK * BLOCK_TOKENS - BLOCK_TOKENS


def test_the_last_token_is_always_computed() -> None:
    cache = PrefixCache()
    prompt = b"x" * BLOCK * 2
    cache.take(prompt)
    assert cache.take(prompt) == BLOCK_TOKENS


def test_a_changed_head_loses_everything() -> None:
    cache = PrefixCache()
    prompt = b"a" * BLOCK * 9 + b"."
    cache.take(prompt)
    assert cache.take(b"b" + prompt[1:]) == 0
    assert cache.take(prompt[:-1] + b"!") == 9 * BLOCK_TOKENS
    assert cache.take(prompt, salt=b"other tenant") == 0


def test_the_oldest_blocks_are_dropped() -> None:
    cache = PrefixCache(capacity_blocks=4)
    old, new = b"o" * (4 * BLOCK + 1), b"n" * (4 * BLOCK + 1)
    cache.take(old)
    cache.take(new)
    assert len(cache) == 4
    assert cache.take(old) == 0


@given(st.text(max_size=300))
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


def test_appended_messages_extend_the_prompt() -> None:
    tools = [{"type": "function", "function": {"name": "x"}}]
    messages = [{"role": "user", "content": "a"}]
    short = render_prompt({"tools": tools, "messages": messages})
    messages.append({"role": "assistant", "content": "b"})
    longer = render_prompt({"tools": tools, "messages": messages})
    assert longer.startswith(short[: -len(b"\nassistant:")])
    assert count_tokens(b"12345") == 2
