from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from collab_core.backends.base import ModelReply
from collab_core.backends.scripted import ScriptedBackend
from collab_core.benchmarks.graders.critic import read_mark
from collab_core.benchmarks.grades import Grade
from collab_core.benchmarks.grading import grade
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier, Usage
from tests.collab_core.benchmarks.sets.test_writing import CRITERION

TIER = Tier(name="critic", model="m", base_url="http://127.0.0.1:9/v1")
CHECKLIST = [CRITERION, CRITERION | {"name": "Tone"}, CRITERION | {"name": "Form"}]
TASK = BenchmarkTask(
    id="w",
    question="Write it out.",
    scorer="critic",
    reference={"query": "Write it.", "checklist": CHECKLIST},
)


def mark(score: object, reason: str = "Because.") -> str:
    return json.dumps({"score": score, "reason": reason})


async def marked(replies: Sequence[str], answer: str = "A text.") -> tuple[Grade, ScriptedBackend]:
    usage = Usage(input_tokens=10, output_tokens=2)
    backend = ScriptedBackend([ModelReply(text=text, usage=usage) for text in replies])
    return await grade(TASK, answer, backend=backend, tier=TIER), backend


async def test_the_mark_is_the_mean_over_the_criteria() -> None:
    found, backend = await marked([mark(7), mark(4), mark(9)])
    # (7 + 4 + 9) / 3
    assert found.score == pytest.approx(20 / 3)
    assert (found.outcome, found.parsed, found.model_calls) == ("unscored", True, 3)
    assert found.usage == Usage(input_tokens=30, output_tokens=6)
    assert found.reason.splitlines()[1] == "Tone: 4. Because."
    case = backend.requests[1].transcript.messages[1]["content"]
    assert "Criterion: Tone\nHow deep?" in case
    assert "9-10: means 9-10" in case
    first = backend.requests[0]
    assert (first.temperature, first.top_p, first.max_output_tokens) == (1.0, 0.95, 2_048)


async def test_a_critic_is_asked_again_with_another_draw() -> None:
    found, backend = await marked(["What?", mark(11), mark(6), mark(6), mark(6)])
    assert (found.score, found.model_calls) == (6.0, 5)
    assert len({request.seed for request in backend.requests}) == 5


async def test_five_replies_without_a_mark_leave_the_text_unscored() -> None:
    found, backend = await marked([mark(7), *["no"] * 5])
    assert (found.score, found.parsed, found.model_calls) == (None, False, 6)
    assert "'Tone' in 5 tries" in found.reason
    assert len(backend.requests) == 6


async def test_no_text_has_the_lowest_mark_and_asks_nobody() -> None:
    found, _ = await marked([], "  ")
    assert found.score == 1.0


async def test_without_a_critic_or_a_checklist_there_is_no_mark() -> None:
    assert (await grade(TASK, "A text.")).score is None
    bare = BenchmarkTask(id="w", question="q", scorer="critic")
    assert (await grade(bare, "x", backend=ScriptedBackend([]), tier=TIER)).score is None


@pytest.mark.parametrize(
    "text",
    [
        mark(7),
        f"```json\n{mark(7)}\n```",
        f"<think>{mark(3)}</think>{mark(7)}",
        f" {mark(7)}\n",
        f"Mark: {mark(7)}.",
    ],
)
def test_forms_of_a_mark(text: str) -> None:
    given = read_mark(text)
    assert given is not None
    assert given.score == 7


@pytest.mark.parametrize(
    "text",
    [
        *(mark(score) for score in (0, 11, 7.5, "7", True, None)),
        *("", "7", "\ud800", "[" * 100_000, '{"score": 7}'),
        *(mark(7) + mark(8), "} {", f"{{{mark(7)}}}"),
    ],
)
def test_what_is_no_mark(text: str) -> None:
    assert read_mark(text) is None
