from __future__ import annotations

from typing import Any

import pytest

from collab_core.benchmarks.graders import programs
from collab_core.benchmarks.graders.programs import extract_code
from collab_core.benchmarks.grades import Grade
from collab_core.benchmarks.grading import grade
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.tools.sandbox import Sandbox, SandboxUnavailable
from collab_core.tools.sandbox.confined import strong
from collab_core.tools.sandbox.language import language
from tests.collab_core.benchmarks.sets.test_programs import HUMANEVAL

TASK = BenchmarkTask(
    id="mbpp-11",
    question="q",
    scorer="tests",
    reference={"setup": "import math", "tests": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"]},
)
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return strong()


def block(code: str) -> str:
    return f"```python\n{code}\n```"


async def graded(answer: str, sandbox: Sandbox | None, task: BenchmarkTask = TASK) -> Grade:
    return await grade(task, answer, sandbox=sandbox)


async def test_a_program_that_passes_is_correct(sandbox: Sandbox) -> None:
    found = await graded(f"Here it is:\n{RIGHT}\nGood luck.", sandbox)
    assert (found.outcome, found.reason) == ("correct", "")
    assert found.extracted == "def add(a, b):\n    return a + b"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def add(a, b):\n    return 3", "AssertionError"),
        ("def add(a, b) return", "SyntaxError"),
        ("x = 1", "NameError"),
        ("import sys\nsys.exit(0)", "before the tests were through"),
        ("import os\nprint('passed')\nos._exit(0)", "before the tests were through"),
        ("raise SystemExit", "before the tests were through"),
        ("def add(a, b): exit(0)", ""),
        ("while True: pass", "Stopped after"),
        ("print('x' * 10**9)", ""),
    ],
)
async def test_a_program_that_does_not_is_incorrect(
    sandbox: Sandbox, code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    monkeypatch.setattr(programs, "LIMITS", dataclasses.replace(programs.LIMITS, cpu_s=1))
    found = await graded(block(code), sandbox)
    assert found.outcome == "incorrect"
    assert said in found.reason


async def test_a_noisy_program_can_pass(sandbox: Sandbox) -> None:
    noisy = "print('hello' * 9000)\nimport atexit\natexit.register(print, 'bye')\n"
    code = noisy + "def add(a, b):\n    print(a)\n    return a + b"
    assert (await graded(block(code), sandbox)).outcome == "correct"


async def test_humaneval_has_what_stands_before_the_function(sandbox: Sandbox) -> None:
    task = BenchmarkTask(
        id="humaneval-0",
        question="q",
        scorer="tests",
        reference={
            "setup": HUMANEVAL["prompt"],
            "tests": [f"{HUMANEVAL['test']}\n\ncheck(root)\n"],
        },
    )
    right = block("def root(x: float) -> float:\n    return math.sqrt(x)")
    assert (await graded(right, sandbox, task)).outcome == "correct"
    # the prompt's own function, which only has a docstring, does not pass for an answer
    assert (await graded(block("y = 1"), sandbox, task)).outcome == "incorrect"


async def test_dataclasses_and_annotations_work(sandbox: Sandbox) -> None:
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass P:\n    x: int\n\ndef add(a, b):\n    return P(a).x + P(b).x"
    )
    assert (await graded(block(code), sandbox)).outcome == "correct"


async def test_a_setup_that_fails_is_nobodys_fault(sandbox: Sandbox) -> None:
    task = BenchmarkTask(
        id="x", question="q", scorer="tests", reference={"setup": "1/0", "tests": ["assert 1"]}
    )
    assert (await graded(RIGHT, sandbox, task)).outcome == "unscored"


async def test_without_a_whole_python_nothing_is_run() -> None:
    for none in (None, language()):
        found = await graded(RIGHT, none)
        assert found.outcome == "unscored"
        assert "strong and reduced only" in found.reason


class Broken:
    tier = "strong"
    description = "broken"

    async def run(self, code: str, limits: Any = None) -> Any:
        raise SandboxUnavailable("It did not start.")


async def test_a_sandbox_that_does_not_start_judges_nobody() -> None:
    found = await graded(RIGHT, Broken())  # type: ignore[arg-type]
    assert (found.outcome, found.reason) == ("unscored", "It did not start.")


async def test_an_answer_without_code_is_incorrect(sandbox: Sandbox) -> None:
    assert not (await graded("```bash\nls\n```", sandbox)).parsed
    assert not (await graded("", sandbox)).parsed


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("x = 1", "x = 1"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```Python\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nor\n```python\nx = 2\n```", "x = 2\n"),
        ("```python\nx = 1\n```\n```text\nout\n```", "x = 1\n"),
        ("```python\nx = 1", "x = 1"),
        ("```python\ns = '''\n```'''", "s = '''\n"),
        ("```bash\nls\n```", ""),
    ],
)
def test_the_code_of_an_answer(answer: str, code: str) -> None:
    assert extract_code(answer) == code
