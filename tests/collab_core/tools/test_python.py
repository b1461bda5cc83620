from __future__ import annotations

from typing import Any

import pytest

from collab_core.errors import ToolFailed
from collab_core.tools.base import MAX_OBSERVATION_CHARS
from collab_core.tools.python import MAX_CODE_CHARS, Python
from collab_core.tools.sandbox import SandboxLimits, self_check


def _python(**limits: Any) -> Python:
    report = self_check("strong")
    assert report.sandbox is not None, report.reason
    return Python(report.sandbox, SandboxLimits(**limits))


async def _shown(code: str, **limits: Any) -> str:
    return (await _python(**limits)({"code": code})).text


async def test_it_shows_what_the_code_prints() -> None:
    assert await _shown("    \nprint(6 * 7)") == "42"
    assert await _shown("import statistics\nstatistics.mean([1, 2])") == "1.5"


async def test_silence_is_told() -> None:
    assert await _shown("x = 1") == "[it printed nothing; print what you want to see]"


async def test_an_exception_is_an_observation() -> None:
    text = await _shown("print('before')\n{}['key']")
    assert text.startswith("before\nTraceback")
    assert text.endswith("KeyError: 'key'\n[it ended with status 1]")


async def test_every_limit_is_named() -> None:
    assert (
        await _shown("import time; time.sleep(9)", wall_s=0.2)
        == "[stopped: it ran longer than 0.2 s]"
    )
    assert (
        await _shown("while True: pass", cpu_s=1)
        == "[stopped: it used more than 1 s of processor time]"
    )
    text = await _shown("while True: print('x')", output_bytes=1_000)
    assert text.endswith("[stopped: it wrote more than 1,000 bytes]")
    assert await _shown("import os; os.abort()") == "[the interpreter died of signal 6]"
    assert "MemoryError" in await _shown("bytearray(3 << 30)")


async def test_a_long_output_says_that_it_was_cut() -> None:
    outcome = await _python()({"code": "print('x' * 100_000); raise ValueError"})
    assert outcome.truncated
    assert "cut here; the whole output has 100," in outcome.text
    assert outcome.text.endswith("ValueError\n[it ended with status 1]")
    assert len(outcome.text) <= MAX_OBSERVATION_CHARS


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"code": ""},
        {"code": 1},
        {"code": ["print(1)"]},
        {"code": "1", "timeout": 99},
        {"code": "#" * (MAX_CODE_CHARS + 1)},
    ],
)
async def test_a_wrong_call_says_how_to_call(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match=r"python\(\{"):
        await _python()(arguments)


async def test_a_sandbox_that_is_gone_is_an_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = _python()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolFailed, match="Go on without the python tool"):
        await tool({"code": "1"})
