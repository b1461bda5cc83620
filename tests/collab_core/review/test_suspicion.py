from __future__ import annotations

from collab_core.review.suspicion import POINTS, suspicions
from tests.collab_core.review.labelled import step

HITS = "2 results, best first:\n[d1] Ann\n    a town\n[d2] Bob\n    a river"
PAGE = "[d1] Ann\n\nAnn is a town."


def test_new_documents_make_a_verdict_of_progress_plausible() -> None:
    steps = [
        step(observation=HITS),
        step(call="read", arguments='{"id": "d1"}', observation=PAGE),
        step(rationale="Ann is a town, so the next link is its founder."),
    ]
    # the rationale of the second is the first one's
    assert [found.reasons for found in suspicions(steps)] == [(), ("repeated_rationale",), ()]


def test_progress_after_a_repeated_call_is_suspicious() -> None:
    again = step(arguments='{ "query": "A" }', observation=HITS, rationale="ok")
    found = suspicions([step(observation=HITS), again, step(rationale="yes")])
    # the verdict of the second is about the first call; that of the third about the repeated one
    assert found[1].reasons == ("short_rationale",)
    assert found[2].reasons == ("repeated_call", "short_rationale")
    assert found[2].score == POINTS["repeated_call"] + POINTS["short_rationale"]


def test_a_separate_verdict_is_about_its_own_step() -> None:
    found = suspicions([step(observation="No such page.", tool_error=True, inline=False)])
    assert found[0].reasons == ("tool_failed",)


def test_a_failed_tool_does_not_also_count_as_nothing_new() -> None:
    (_, found) = suspicions([step(tool_error=True), step(rationale="b" * 50)])
    assert found.reasons == ("tool_failed",)


def test_no_progress_is_suspicious_where_documents_are_new() -> None:
    found = suspicions([step(observation=HITS), step(0, observation="nothing"), step(0)])
    assert [one.reasons for one in found[1:]] == [("new_documents",), ()]


def test_progress_without_an_action_and_long_after_anything_new() -> None:
    idle = [step(call="", rationale=f"thought {n} " * 5) for n in range(4)]
    assert suspicions(idle)[3].reasons == ("no_action", "long_since_new")


def test_an_unsure_model_and_a_missing_verdict_count() -> None:
    found = suspicions([step(0, mean_logprob=-0.9), step(None, rationale="")])
    assert [one.reasons for one in found] == [("unsure_model",), ("no_usable_verdict",)]


def test_progress_after_two_stalls() -> None:
    steps = [step(observation=HITS), step(0), step(0, observation=PAGE), step(rationale="c" * 50)]
    assert "progress_after_stalls" in suspicions(steps)[3].reasons
