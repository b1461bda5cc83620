from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.progress import BLOCK_REGEX, parse_block, read_check, without_block

GOOD = "<progress><rationale>found it</rationale><indicator>1</indicator></progress>"


@pytest.mark.parametrize(
    ("text", "indicator"),
    [
        (GOOD, 1),
        (GOOD.replace(">1<", ">0<"), 0),
        (f"I think. {GOOD} Then I act.", 1),
        ("<progress>\n <rationale>a\nb</rationale>\n <indicator> 0 </indicator>\n</progress>", 0),
        ("<progress><rationale></rationale><indicator>1</indicator></progress>", 1),
    ],
)
def test_a_strict_block_is_parsed(text: str, indicator: int) -> None:
    assert parse_block(text)[:2] == ("parsed", indicator)


@pytest.mark.parametrize(
    "text",
    [
        GOOD + GOOD,
        GOOD[:-1],
        "</progress><progress>",
        "<progress></progress>",
        "<progress>1</progress>",
        GOOD.replace(">1<", ">2<"),
        GOOD.replace(">1<", ">yes<"),
        GOOD.replace(">1<", "><"),
        GOOD.replace("<rationale>found it</rationale>", ""),
        "<progress><indicator>1</indicator><rationale>x</rationale></progress>",
        "<progress><rationale>x</rationale><indicator>1</indicator>more</progress>",
        "<progress>so <rationale>x</rationale><indicator>1</indicator></progress>",
        "<progress><progress>" + GOOD,
    ],
)
def test_anything_else_is_malformed_and_never_guessed(text: str) -> None:
    assert parse_block(text)[:2] == ("malformed", None)


def test_no_block_is_missing() -> None:
    assert parse_block("just a thought about <indicator>1</indicator>").status == "missing"


@pytest.mark.parametrize(("rule", "told"), [("progress", True), ("stall", False)])
def test_a_missing_verdict_follows_the_rule(rule: str, told: bool) -> None:
    check = read_check("nothing", missing_verdict=rule)  # type: ignore[arg-type]
    assert (check.indicator, check.made_progress) == (None, told)


@given(st.text(max_size=300))
def test_the_parser_never_raises(text: str) -> None:
    assert parse_block(text).status in ("parsed", "missing", "malformed")


@given(
    st.lists(
        st.sampled_from(
            [
                "<progress>",
                "</progress>",
                "<rationale>",
                "</rationale>",
                "<indicator>",
                "</indicator>",
                "0",
                "1",
                " ",
                "x",
            ]
        ),
        max_size=14,
    )
)
def test_parsed_means_exactly_one_block(parts: list[str]) -> None:
    text = "".join(parts)
    if parse_block(text).status == "parsed":
        assert text.count("<progress>") == text.count("</progress>") == 1


@given(st.text(max_size=80).filter(lambda s: "<" not in s), st.sampled_from([0, 1]))
def test_what_is_written_is_read_back(rationale: str, indicator: int) -> None:
    text = (
        f"<progress><rationale>{rationale}</rationale><indicator>{indicator}</indicator></progress>"
    )
    block = parse_block(text)
    assert (block.indicator, block.rationale) == (indicator, rationale.strip())


def test_the_work_is_linear_on_hostile_text() -> None:
    """Counted, not timed: each of the parser's scans walks the text a bounded number of times."""
    for family in ("<progress>" * 50_000, "<rationale>" * 50_000, "<" * 500_000):
        assert parse_block(family).indicator is None


def test_the_enforced_grammar_is_what_the_parser_reads() -> None:
    assert re.fullmatch(BLOCK_REGEX, GOOD)


def test_people_read_the_text_without_the_block() -> None:
    assert without_block(f"Before. {GOOD} After.") == "Before.  After."
