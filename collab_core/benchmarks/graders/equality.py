"""A process that compares two expressions and ends; started by path, so it imports nothing of ours.

Standard input holds a JSON object: gold (a list), answer, memory_bytes, cpu_s. Standard output gets
``ready`` when the limits stand, then ``equal``, ``different`` or ``unread``.
"""

from __future__ import annotations

import json
import logging
import resource
import sys

from math_verify import LatexExtractionConfig, parse, verify

_REFUSED = (
    "subprocess.",
    "socket.",
    "ctypes.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
)


def main() -> None:
    """Read, confine, compare."""
    # without their own clocks, which need signals: the limits below end it
    logging.disable()
    asked = json.load(sys.stdin)
    _confine(int(asked["memory_bytes"]), int(asked["cpu_s"]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    answer = _read(asked["answer"])
    golds = [_read(gold) for gold in asked["gold"]]
    if not answer or not any(golds):
        said = "unread"
    elif any(gold and verify(gold, answer, timeout_seconds=0) for gold in golds):
        said = "equal"
    else:
        said = "different"
    sys.stdout.write(f"{said}\n")


def _confine(memory_bytes: int, cpu_s: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit_s = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    """Stop what arithmetic has no business with."""
    if event.startswith(_REFUSED):
        raise PermissionError(event)


def _read(text: str) -> list[object]:
    """Return the expression that LaTeX says; [] = it says none.

    LaTeX only: the library reads other text by Python's ``eval``.
    """
    return list(
        parse(
            f"${text.replace('$', '')}$",
            extraction_config=[LatexExtractionConfig()],
            fallback_mode="no_fallback",
            parsing_timeout=0,
        )
    )


if __name__ == "__main__":
    main()
