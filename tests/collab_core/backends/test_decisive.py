from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.backends.chunks import TokenLogprob, TopLogprob
from collab_core.backends.decisive import TokenTrail, decisive_offset
from collab_core.backends.reply import ReplyReader


def trail(*tokens: str) -> TokenTrail:
    """Token number i (from 1) has the margin i / 100: p = 0.5 + i / 200 against 0.5 - i / 200."""
    made = TokenTrail()
    for i, text in enumerate(tokens, start=1):
        best, second = math.log(0.5 + i / 200), math.log(0.5 - i / 200)
        tops = [TopLogprob(text, best), TopLogprob(text + "'", second)]
        made.add(TokenLogprob(text, best, tops))
    return made


def margin(*tokens: str, text: str = "", call_name: str = "") -> float | None:
    return trail(*tokens).margin(text=text, call_name=call_name)


def test_the_tools_name_counts_not_the_tags_before_it() -> None:
    tokens = ("<think>", "I search.", "</think>", "<tool_call>", '{"name": "', "search", '"}')
    assert margin(*tokens) == pytest.approx(0.06)


def test_a_token_that_begins_before_the_name_is_the_one_that_decides_it() -> None:
    assert margin("<tool_call>", '{"name"', ': "se', 'arch"}') == pytest.approx(0.03)


def test_the_answers_first_token_counts() -> None:
    assert margin("so", "<answer>", " ", "Paris", "</answer>") == pytest.approx(0.04)


def test_the_last_answer_is_the_answer() -> None:
    assert margin("<answer>", "no", "</answer>", "<answer>", "yes") == pytest.approx(0.05)


def test_a_call_wins_over_an_answer() -> None:
    tokens = ("<answer>", "x", "</answer>", '<tool_call>{"name":"', "read", '"}</tool_call>')
    assert margin(*tokens) == pytest.approx(0.05)


def test_a_plain_answer_begins_after_thought_and_progress_block() -> None:
    assert margin("<think>", "hm", "</think>", "\n", "Paris") == pytest.approx(0.05)
    block = "<progress><rationale>r</rationale><indicator>1</indicator></progress>"
    assert margin(block, " Paris", ".") == pytest.approx(0.02)
    assert margin("Paris", ".") == pytest.approx(0.01)


def test_a_native_call_is_found_by_its_name_after_the_text() -> None:
    tokens = ("I ", "read", " it.", '[{"name": "', "read", '"}]')
    assert margin(*tokens, text="I read it.", call_name="read") == pytest.approx(0.05)


def test_a_native_call_without_token_probabilities_is_unknown() -> None:
    assert margin("I search.", text="I search.", call_name="search") is None


def test_no_token_is_no_margin() -> None:
    assert margin() is None
    assert margin("<answer>") is None
    assert margin('<tool_call>{"name": "') is None


@pytest.mark.parametrize("raw", ["<tool_call>" * 9_000, "<answer>" * 9_000, "</think>" * 9_000])
def test_hostile_text_takes_linear_time(raw: str) -> None:
    assert decisive_offset(raw) is None


def test_a_stream_tells_the_margin_of_its_call() -> None:
    def chunk(delta: dict[str, object], *tokens: tuple[str, float]) -> bytes:
        content = [
            {
                "token": token,
                "logprob": math.log(p),
                "top_logprobs": [
                    {"token": token, "logprob": math.log(p)},
                    {"token": "other", "logprob": math.log(1 - p)},
                ],
            }
            for token, p in tokens
        ]
        choice = {"index": 0, "delta": delta, "logprobs": {"content": content}}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    function = {"name": "search", "arguments": "{}"}
    reader = ReplyReader(max_output_tokens=50)
    reader.feed(chunk({"content": "Well"}, ("Well", 0.99)))
    reader.feed(
        chunk(
            {"tool_calls": [{"index": 0, "id": "1", "function": function}]},
            ("<tool_call>", 0.99),
            ('{"name": "', 0.99),
            ("search", 0.7),
        )
    )
    reader.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n')
    reader.feed(b"data: [DONE]\n\n")
    reader.finish()
    assert reader.first_token_margin == pytest.approx(0.98)
    assert reader.decisive_margin == pytest.approx(0.4)


def test_without_log_probabilities_there_is_no_margin() -> None:
    assert ReplyReader(max_output_tokens=5).decisive_margin is None


pieces = st.sampled_from(
    [
        "<tool_call>",
        "</tool_call>",
        "<answer>",
        "</think>",
        '{"name"',
        ": ",
        '"',
        "read",
        " ",
        "\n",
        "x",
    ]
)


@given(tokens=st.lists(pieces, max_size=30), call_name=st.sampled_from(["", "read", "x"]))
def test_any_text_gives_a_token_of_it_or_none(tokens: list[str], call_name: str) -> None:
    raw = "".join(tokens)
    at = decisive_offset(raw, text=raw[: len(raw) // 2], call_name=call_name)
    assert at is None or 0 <= at < len(raw)
    margin_of_it = margin(*tokens, text=raw[: len(raw) // 2], call_name=call_name)
    assert (margin_of_it is None) == (at is None)
