from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from collab_core.domain import StepRecord
from collab_core.learned.evidence import NOTHING, Evidence, Shown, Tracker, words_of
from tests.collab_core.review.labelled import step

HITS = "2 results, best first:\n[d1] Ann Bell\n    a town\n[d2] Bob Reed\n    a river"
PAGE = "[d1] Ann Bell (part 1 of 2)\n\nAnn Bell was founded by Cid Marsh."
WEB = "2 results, best first:\nTitle\n    https://a.example/x\n    words\nOther\n    https://b.example/"
PAGE_OF_WEB = "Page https://a.example/x\nTitle\n\nwords"


def evidence_of(steps: Sequence[StepRecord]) -> list[Evidence]:
    tracker = Tracker()
    return [tracker.add(one) for one in steps]


def test_documents_are_counted_as_each_tool_shows_them() -> None:
    found = evidence_of(
        [
            step(observation=HITS),
            step(call="read", observation=PAGE),
            step(call="read", observation=PAGE.replace("part 1", "part 2")),
            step(call="web_search", observation=WEB),
            step(call="read_page", observation=PAGE_OF_WEB),
            step(observation=HITS + "\n[d3] Cid Marsh\n    a person"),
        ]
    )
    counts = [(one.own.new_documents, one.own.documents) for one in found]
    assert counts == [(2, 2), (1, 1), (1, 1), (2, 2), (1, 1), (1, 3)]


def test_an_inline_verdict_is_about_the_step_before_it() -> None:
    first, second, third = evidence_of(
        [step(observation=HITS), step(tool_error=True), step(call="")]
    )
    assert first.judged is None
    assert second.judged == first.own
    assert third.judged is not None
    assert third.judged.failed
    assert third.own == NOTHING


def test_a_separate_verdict_is_about_its_own_step() -> None:
    (found,) = evidence_of([step(observation=HITS, inline=False)])
    assert found.judged == found.own == Shown(acted=True, new_documents=2, documents=2)


def test_the_same_call_in_other_spelling_is_a_repeated_one() -> None:
    found = evidence_of(
        [
            step(arguments='{"query": "Ann", "n": 1}', observation="a"),
            step(arguments='{"n":1,"query":" ann "}', observation="b"),
            step(arguments='{"query": "Bob"}', observation="b"),
            step(arguments="no json", observation="c"),
            step(arguments="no  json", observation="d"),
        ]
    )
    assert [one.own.repeated for one in found] == [False, True, False, False, True]
    assert [one.own.seen_before for one in found] == [False, False, True, False, False]


def test_counts_go_on_from_step_to_step() -> None:
    found = evidence_of(
        [step(observation=HITS), step(0), step(0), step(None), step(observation=PAGE)]
    )
    assert [one.since_new for one in found] == [0, 1, 2, 3, 0]
    assert [one.stalls for one in found] == [0, 0, 1, 2, 0]
    assert [one.position for one in found] == [1, 2, 3, 4, 5]


def test_news_are_words_that_no_earlier_observation_has() -> None:
    found = evidence_of(
        [
            step(observation=HITS),
            step(call="read", observation=PAGE, rationale="It lists Ann and a river."),
            step(
                arguments='{"query": "Cid Marsh"}',
                rationale="Ann Bell was founded by Cid Marsh, the town too.",
            ),
        ]
    )
    # of the second rationale: ann, river. Of the third: was, founded, cid, marsh; ann, bell, town are old
    assert [one.rationale_news for one in found] == [0, 2, 4]
    assert [one.action_news for one in found] == [0, 0, 2]


@given(st.text(max_size=200), st.text(max_size=200))
def test_hostile_text_is_only_counted(observation: str, rationale: str) -> None:
    (found,) = evidence_of(
        [step(observation=observation, rationale=rationale, arguments=rationale)]
    )
    assert found.own.new_documents == found.own.documents
    assert words_of(observation) >= words_of("")
