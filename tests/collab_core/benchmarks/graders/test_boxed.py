from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collab_core.benchmarks.graders import boxed, equality
from collab_core.benchmarks.graders.boxed import boxed_answer, normalised
from collab_core.benchmarks.grades import Grade
from collab_core.benchmarks.grading import grade
from collab_core.benchmarks.tasks import BenchmarkTask


async def graded(answer: str, *gold: str) -> Grade:
    task = BenchmarkTask(id="t", question="q", answers=gold, scorer="boxed")
    return await grade(task, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} and then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed {x}", "x"),
        (r"$\boxed 7$", "7"),
        (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
        (r"\boxed{a \} b}", r"a \} b"),
        ("42", "42"),
        ("two\nlines", ""),
        ("x" * 201, ""),
        (r"\boxed{never closed", ""),
        (r"\boxed{}", ""),
        (r"\boxed", ""),
        (r"\boxed $$", ""),
    ],
)
def test_what_the_last_box_holds(text: str, answer: str) -> None:
    assert boxed_answer(text) == answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\dfrac{1}{2}", r"\frac12"),
        (r"\left(1,\ 2\right)", "(1,2)"),
        (r"\$18.90", "18.90"),
        ("1,234", "1234"),
        (r"1{,}234{,}567", "1234567"),
        (r"50\%", "50"),
        (r"90^\circ", "90"),
        (r"\text{Evelyn}", "Evelyn"),
        ("x = 3.", "x=3"),
    ],
)
def test_spelling_does_not_matter(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("(1,200)", "1200"), ("1,2,3", "123"), ("12,34", "1234"), (r"\le 5", "5")]
)
def test_meaning_does(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


async def test_texts_and_integers_need_no_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere")
    assert (await graded(r"\boxed{4}", "3", "-4")).outcome == "incorrect"
    assert (await graded(r"\boxed{04}", "3", "4")).outcome == "correct"
    assert (await graded(r"\boxed{\dfrac12}", "7", r"\frac{1}{2}")).outcome == "correct"


async def test_algebra_finds_what_is_equal() -> None:
    found = await asyncio.gather(
        graded(r"\boxed{0.5}", r"\frac{1}{2}"),
        graded(r"\boxed{(x+1)^2}", "x^2+2x+1"),
        graded(r"\boxed{\frac}", "3"),
    )
    assert [one.outcome for one in found] == ["correct", "correct", "incorrect"]
    assert found[2].reason == "Another text, and no mathematics that can be read."


async def test_an_answer_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxed, "CPU_S", 1)
    found = await graded(r"\boxed{9^{9^{9^{9}}}}", "5")
    assert (found.outcome, found.reason) == ("incorrect", "Not shown equal within 1 s and 2 GiB.")


async def test_code_in_an_answer_is_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for form in ("__import__('pathlib').Path('{}').touch()", "\\text{{open('{}', 'w')}}"):
        found = await graded(rf"\boxed{{{form.format(made)}}}", "5")
        assert found.outcome == "incorrect"
    assert not made.exists()


@pytest.mark.parametrize("event", ["subprocess.Popen", "os.system", "os.fork", "socket.connect"])
def test_the_algebra_starts_nothing_and_connects_nowhere(event: str) -> None:
    with pytest.raises(PermissionError, match=event):
        equality._refuse(event, ())
    equality._refuse("import", ())


async def test_an_algebra_that_does_not_start_judges_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/true")
    found = await graded(r"\boxed{4}", "x")
    assert (found.outcome, found.reason) == ("unscored", "The algebra system did not start.")


async def test_what_is_no_answer_is_incorrect() -> None:
    assert not (await graded("I do not know,\nsorry", "3")).parsed
    assert not (await graded(rf"\boxed{{{'1+' * 2_000}1}}", "3")).parsed
    assert (await graded("3")).outcome == "unscored"
