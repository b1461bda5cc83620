from __future__ import annotations

import pytest

from collab_core.domain import ToolCall
from collab_core.strategies.agreement import canonical_answer, canonical_call, vote


@pytest.mark.parametrize(
    ("answers", "tau", "accepted"),
    [
        ("aaaaaabb", 0.75, True),  # 6 of 8, exactly at the threshold
        ("aaaaabbb", 0.75, False),  # 5 of 8, just below
        ("aaaabbbb", 0.50, True),  # a tie, exactly at the threshold
        ("aaabbcde", 0.50, False),
        ("abcdefgh", 0.125, True),
        ("aaaaaaabcd", 0.7, True),  # 0.7 has no exact binary fraction
        ("a", 1.0, True),
        ("    ", 0.1, False),  # nobody answered
        ("aa      ", 0.25, True),  # samples without an answer count
        ("aa      ", 0.26, False),
    ],
)
def test_a_share_reaches_its_threshold(answers: str, tau: float, accepted: bool) -> None:
    assert vote([key.strip() for key in answers]).reaches(tau) is accepted


def test_the_majority_of_a_tie_is_the_answer_given_first() -> None:
    assert vote(["", "b", "a", "a", "b"]).members == (1, 4)


@pytest.mark.parametrize(
    ("text", "kind", "form"),
    [
        ("The Drowned  Bell!", "question", "drowned bell"),
        ("  ", "question", ""),
        ("B", "multiple_choice", "B"),
        ("(c) since it rains", "multiple_choice", "C"),
        ("The answer is D.", "multiple_choice", "D"),
        ("a banana", "multiple_choice", "banana"),
        ("it is 41 or rather 42", "maths", "42"),
        (r"$\boxed{\frac{1}{2}}$ (not 7)", "maths", "0.5"),
        (r"\boxed{x^{12}} = 3", "maths", "x^{12}"),
        (r"\boxed{2\sqrt{3}}", "maths", r"2\sqrt{3}"),
        (r"\boxed{x = \$1{,}250 \text{ each}}", "maths", "1250"),
        (r"\boxed{x = \$1,250\,\text{ each}}", "maths", "1250"),
        (r"\boxed{-\dfrac{3}{4}}", "maths", "-0.75"),
        (r"\boxed{\text{even}}", "maths", "text even"),
        (r"\boxed{} 7", "maths", "7"),
        ("about 1.5e3 km", "maths", "1500"),
        ("about 2e3 km", "maths", "2000"),
        ("-0.50", "maths", "-0.5"),
        ("1,234,567 / 2", "maths", "617283.5"),
        ("1/3", "maths", "0.333333"),
        ("3/0", "maths", "3 0"),
        ("none", "maths", "none"),
    ],
)
def test_answers_are_compared_in_their_kinds_form(text: str, kind: str, form: str) -> None:
    assert canonical_answer(text, kind) == form  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1, "b": "X y"}', '{"b":" x  Y ","a":1}', True),
        ('{"a": [" P", {"q": "R"}]}', '{"a": ["p", {"q": "r"}]}', True),
        ('{"a": 1}', '{"a": 2}', False),
        ("", "{}", True),
        ("{oops", "{OOPS", True),
        ("[" * 100_000, "[" * 100_000, True),
    ],
)
def test_calls_agree_whatever_their_spelling(one: str, other: str, same: bool) -> None:
    first, second = (ToolCall(id=i, name="t", arguments=i) for i in (one, other))
    assert (canonical_call(first) == canonical_call(second)) is same
