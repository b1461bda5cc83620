from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.benchmarks.graders.inline import GRADERS, last_number, option_letter


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", "18"),
        ("She makes 9 * 2 = $18 every day.", "18"),
        ("The total is 1,234,567.", "1234567"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("from 3-5", "5"),
        ("(2)-5", "5"),
        ("x = -.5", "-0.5"),
        (".25", "0.25"),
        ("3.", "3"),
        ("1.5e3", "1500"),
        ("2e400 of it", "2e400"),
        ("１２", "12"),
        ("12 or 13", "13"),
        ("v1.2.3", "3"),
        ("18, of course", "18"),
        ("18,", "18"),
        ("1,2,3", "3"),
        ("-12,13", "13"),
        ("1,234,5", "5"),
        ("12,345.5", "12345.5"),
        ("-1,000", "-1000"),
    ],
)
def test_the_last_number_of_a_text(text: str, number: str) -> None:
    assert last_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "." * 50, "9" * 200])
def test_texts_without_a_number(text: str) -> None:
    assert last_number(text) is None


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("72", "correct"), ("72.0000001", "correct"), ("72.00001", "incorrect"), ("no", "incorrect")],
)
def test_numbers_are_right_within_a_millionth(answer: str, outcome: str) -> None:
    assert GRADERS["number"](answer, ["72"]).outcome == outcome


def test_neighbours_beyond_double_precision_differ() -> None:
    assert (
        GRADERS["number"]("10000000000000000001", ["10000000000000000002"]).outcome == "incorrect"
    )


def test_a_gold_answer_that_is_no_number_leaves_the_answer_unscored() -> None:
    assert GRADERS["number"]("7", ["seven"]).outcome == "unscored"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C", "C"),
        ("c", "C"),
        (" (C). ", "C"),
        ("**C**", "C"),
        ("Option C", "C"),
        ("C. Nitrofurantoin", "C"),
        ("(C) Nitrofurantoin", "C"),
        ("The answer is C because it is safe.", "C"),
        ("The answer is: **C**", "C"),
        ("Answer: (C)", "C"),
        (r"\boxed{C}", "C"),
        (r"$\boxed{\text{C}}$", "C"),
        ("The answer is A. No, the answer is C.", "C"),
        ("The answer is C. Option A is wrong.", "C"),
    ],
)
def test_the_letter_that_an_answer_settles_on(answer: str, letter: str) -> None:
    assert option_letter(answer) == letter


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "A or C",
        "The answer is A or C",
        "The answer is (A) or (C)",
        "The answer is A, C",
        "The answer is A/C",
        "A) no\nC) yes",
        "A patient needs care",
        "The answer is A patient",
        "The answer is I think so",
        "Nitrofurantoin",
        "Z",
        "AC",
    ],
)
def test_answers_that_settle_on_no_letter(answer: str) -> None:
    grade = GRADERS["letter"](answer, ["C"])
    assert (grade.outcome, grade.parsed) == ("incorrect", False)


@given(st.text(max_size=300), st.sampled_from(sorted(GRADERS)))
def test_hostile_text_never_raises(answer: str, scorer: str) -> None:
    assert GRADERS[scorer](answer, ["7", "C"]).outcome in {"correct", "incorrect"}


@pytest.mark.parametrize(
    "piece",
    ["1,", "1", ".", "-", "answer is ", "answer  ", "A) ", "(", "*", "\\boxed{", "A", "\ufdfa"],
)
@pytest.mark.parametrize("scorer", sorted(GRADERS))
@pytest.mark.timeout(20)
def test_long_hostile_text_is_read_in_linear_time(scorer: str, piece: str) -> None:
    # quadratic work over the 20,000 characters that are read would take minutes
    assert GRADERS[scorer](piece * 50_000, ["7"]).outcome == "incorrect"
