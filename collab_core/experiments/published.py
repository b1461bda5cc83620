"""Rows that papers published, to lay beside our own; none of them was measured here.

Figures that the text of the paper at hand had lost and that come from published summaries of it are
named in ``Row.second_hand``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collab_core.errors import InvalidInput
from collab_core.experiments.columns import COLUMNS
from collab_core.experiments.table import Measured, Row, Table

AGENTCOLLAB = "AgentCollab, arXiv 2603.26034"
OI_MAS = "OI-MAS"
COPE = "COPE, arXiv 2506.11578"

_Given = tuple[str, float | None, float | None, float | None]
"""Arm, accuracy in % (or score), steps, speedup; None = not published, or not found."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A published table by its name."""

    name: str
    title: str
    source: str
    table: Table


def find(name: str) -> Published:
    """Return a published table.

    Raises:
        InvalidInput: there is none of that name.
    """
    if name not in PUBLISHED:
        raise InvalidInput(
            f"There are no published rows called {name[:80]!r}.",
            field="published",
            hint=f"Choose one of: {', '.join(PUBLISHED)}.",
        )
    return PUBLISHED[name]


def beside(own: Table, name: str) -> Table:
    """Return the table with the published rows below its own.

    Raises:
        InvalidInput: there is no published table of that name.
    """
    theirs = find(name)
    rows = (*own.rows, *theirs.table.rows)
    return msgspec.structs.replace(
        own,
        rows=rows,
        columns=_columns(rows),
        notes=(
            *own.notes,
            f"Published rows are from {theirs.source}: other models, tasks and machines"
            + (
                f", speedups against their own {theirs.table.baseline}."
                if theirs.table.baseline
                else "."
            ),
            *theirs.table.notes,
        ),
    )


def _columns(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(c for c in COLUMNS if any(row.figure(c).value is not None for row in rows))


def _published(
    name: str,
    title: str,
    source: str,
    rows: Sequence[Row],
    *,
    tasks: int = 0,
    baseline: str = "",
    notes: tuple[str, ...] = (),
) -> Published:
    marked = tuple(
        msgspec.structs.replace(row, published=True, source=source, is_baseline=row.arm == baseline)
        for row in rows
    )
    made = Table(rows=marked, columns=_columns(marked), baseline=baseline, tasks=tasks, notes=notes)
    return Published(name=name, title=title, source=source, table=made)


def _row(
    arm: str,
    *,
    second_hand: tuple[str, ...] = (),
    spent_usd: float | None = None,
    **figures: float | None,
) -> Row:
    known = {name: Measured(value=value) for name, value in figures.items() if value is not None}
    return Row(
        arm=arm,
        figures=known,
        spent_usd=spent_usd,
        second_hand=tuple(name for name in second_hand if name in known or name == "spent_usd"),
    )


def _frac(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 6)


_LOST_SPEEDUPS = "The speedups are second-hand: the text of the paper at hand had lost them."
_STEPS_OF_TEAMS = "DDV2 runs seekers in parallel; the paper does not say how it counted steps."


def _table_1(
    agent: str,
    benchmark: str,
    tasks: int,
    rows: Sequence[_Given],
    *,
    scores: bool = False,
) -> Published:
    slug = f"{agent}-{benchmark}".lower().replace("_", "-")
    made = [
        _row(
            arm,
            accuracy=None if scores else _frac(quality),
            score=quality if scores else None,
            steps=steps,
            speedup=speedup,
            second_hand=("speedup",),
        )
        for arm, quality, steps, speedup in rows
    ]
    return _published(
        f"agentcollab-table-1-{slug}",
        f"AgentCollab Table 1: {agent}, {benchmark}",
        f"{AGENTCOLLAB}, Table 1",
        made,
        tasks=tasks,
        baseline=rows[1][0],
        notes=(_LOST_SPEEDUPS, *((_STEPS_OF_TEAMS,) if agent == "DDV2" else ())),
    )


def _table_3(pair: str, rows: Sequence[_Given]) -> Published:
    made = [
        _row(arm, accuracy=_frac(accuracy), steps=steps, speedup=speedup)
        for arm, accuracy, steps, speedup in rows
    ]
    return _published(
        f"agentcollab-table-3-{pair.lower()}",
        f"AgentCollab Table 3: pairs of models against {pair} (WebSailor, BrowseComp_zh)",
        f"{AGENTCOLLAB}, Table 3",
        made,
        tasks=289,
        baseline=pair,
    )


def _table_2() -> Published:
    given = (
        ("Large only", 34.6, 1.0, None),
        ("Small only", 18.3, 1.54, None),
        ("Large planner", 24.6, 1.39, None),
        ("Large executor", 27.3, 1.24, None),
        ("AgentCollab (static)", 32.5, 1.32, 49.64),
        ("AgentCollab (dynamic)", 33.9, 1.36, 45.07),
    )
    made = [
        _row(
            arm,
            accuracy=_frac(accuracy),
            speedup=speedup,
            switching_ratio=switching,
            second_hand=("speedup",),
        )
        for arm, accuracy, speedup, switching in given
    ]
    return _published(
        "agentcollab-table-2",
        "AgentCollab Table 2: roles and budgets (DDV2, BrowseComp_zh)",
        f"{AGENTCOLLAB}, Table 2",
        made,
        tasks=289,
        baseline="Large only",
        notes=(_LOST_SPEEDUPS,),
    )


_OI_MAS_SETS = ("GSM8K", "MATH", "MedQA", "GPQA", "MBPP")
_OI_MAS_TABLE_1: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("Qwen2.5-3B", (84.87, 67.23, 47.90, 34.83, 61.34)),
    ("Qwen2.5-7B", (85.71, 72.27, 62.18, 33.71, 68.07)),
    ("Llama3.1-8B", (80.67, 53.78, 54.62, 32.58, 63.87)),
    ("Llama3.1-70B", (88.24, 67.23, 74.79, 35.96, 77.31)),
    ("LLM-Debate, medium", (90.76, 73.11, 64.71, 34.83, 70.59)),
    ("LLM-Debate, large", (94.96, 71.43, 77.31, 40.45, 82.35)),
    ("GPTSwarm, medium", (64.71, 52.10, 60.50, 37.08, 59.66)),
    ("GPTSwarm, large", (94.12, 65.55, 74.79, 34.83, 76.47)),
    ("AFlow, medium", (93.28, 68.07, 63.87, 33.71, 37.82)),
    ("AFlow, large", (94.12, 68.91, 75.63, 42.70, 45.38)),
    ("MaAS, medium", (88.24, 74.79, 55.46, 38.20, 79.00)),
    ("MaAS, large", (96.64, 62.18, 76.47, 43.82, 88.24)),
    ("MasRouter, pool", (95.80, 72.27, 71.43, 35.96, 77.31)),
    ("OI-MAS, pool", (95.80, 79.83, 78.99, 44.94, 91.59)),
)
_COSTS = "Costs are the paper's, in total, without the number of tasks: there is no cost of a run."


def _oi_mas_table_1(place: int, name: str) -> Published:
    made = [_row(arm, accuracy=_frac(values[place])) for arm, values in _OI_MAS_TABLE_1]
    return _published(
        f"oi-mas-table-1-{name.lower()}",
        f"OI-MAS Table 1: {name}",
        f"{OI_MAS}, Table 1",
        made,
    )


def _costed(
    name: str, title: str, source: str, rows: Sequence[tuple[str, float, float]]
) -> Published:
    """A table of accuracy in % and total cost in tenths of a dollar."""
    made = [
        _row(arm, accuracy=_frac(accuracy), spent_usd=round(tenths / 10, 6))
        for arm, accuracy, tenths in rows
    ]
    return _published(name, title, source, made, notes=(_COSTS,))


def _cope() -> Published:
    second_hand = ("accuracy", "spent_usd")
    made = [
        _row("Large only", accuracy=0.350, spent_usd=225.0, second_hand=second_hand),
        _row("COPE", accuracy=0.369, spent_usd=160.0, second_hand=second_hand),
    ]
    return _published(
        "cope-alfworld",
        "COPE: ALFWorld",
        f"{COPE}, from a published summary",
        made,
        notes=(_COSTS, "All figures are second-hand; the paper counts small models as free."),
    )


PUBLISHED: dict[str, Published] = {
    one.name: one
    for one in (
        _table_1(
            "DDV2",
            "BrowseComp_zh",
            289,
            (
                ("Small 7B", 18.3, 21.75, 1.54),
                ("Large 38B", 34.6, 17.29, 1.0),
                ("Random", 22.3, 20.56, None),
                ("RouteLLM", 28.2, 22.4, 1.09),
                ("FrugalGPT", 27.2, 20.2, 1.29),
                ("AgentCollab", 33.9, 19.82, 1.36),
            ),
        ),
        _table_1(
            "DDV2",
            "HLE-math",
            866,
            (
                ("Small 7B", 8.0, 35.55, 3.38),
                ("Large 38B", 23.3, 28.41, 1.0),
                ("Random", 9.2, 32.82, None),
                ("RouteLLM", 15.2, 33.42, 1.62),
                ("FrugalGPT", 18.2, 29.23, 1.97),
                ("AgentCollab", 21.1, 32.03, 2.31),
            ),
        ),
        _table_1(
            "DDV2",
            "WritingBench",
            1_000,
            (
                ("Small 7B", 4.4, 17.25, 3.20),
                ("Large 38B", 5.1, 9.10, 1.0),
                ("Random", 4.2, 13.10, None),
                ("RouteLLM", 4.7, 10.27, 2.21),
                ("FrugalGPT", 4.5, 12.22, 1.94),
                ("AgentCollab", 5.0, 9.59, 2.43),
            ),
            scores=True,
        ),
        _table_1(
            "WebSailor",
            "BrowseComp_zh",
            289,
            (
                ("Small 7B", 14.2, 10.38, 2.03),
                ("Large 32B", 25.5, 7.79, 1.0),
                ("Random", 14.9, 10.48, None),
                ("RouteLLM", 20.0, 9.60, None),
                ("FrugalGPT", 19.7, 10.50, None),
                ("AgentCollab", 22.5, 8.49, 1.50),
            ),
        ),
        _table_1(
            "WebSailor",
            "HLE-math",
            866,
            (
                ("Small 7B", 11.3, 13.02, 2.48),
                ("Large 32B", 14.0, 7.09, 1.0),
                ("Random", 9.2, 14.02, None),
                ("RouteLLM", 11.4, 9.34, None),
                ("FrugalGPT", 11.9, 9.81, None),
                ("AgentCollab", 13.3, 8.57, 1.29),
            ),
        ),
        _table_2(),
        _table_3(
            "7B",
            (("3B", 9.7, 9.44, 1.37), ("3B + 7B", 12.5, 11.40, 1.08), ("7B", 14.2, 10.38, None)),
        ),
        _table_3(
            "32B",
            (
                ("3B + 32B", 12.8, 9.08, 1.40),
                ("7B + 32B", 22.5, 8.49, 1.50),
                ("32B", 25.5, 7.79, None),
            ),
        ),
        *(_oi_mas_table_1(place, name) for place, name in enumerate(_OI_MAS_SETS)),
        _costed(
            "oi-mas-table-2-humaneval",
            "OI-MAS Table 2: HumanEval, trained on MBPP",
            f"{OI_MAS}, Table 2",
            (
                ("LLM-Debate", 78.05, 2.97),
                ("GPTSwarm", 75.00, 1.61),
                ("AFlow", 78.66, 1.25),
                ("MaAS", 89.63, 2.22),
                ("MasRouter", 74.39, 1.17),
                ("OI-MAS", 91.46, 0.97),
            ),
        ),
        _costed(
            "oi-mas-table-3-medqa",
            "OI-MAS Table 3: ablation, MedQA",
            f"{OI_MAS}, Table 3",
            (
                ("OI-MAS", 78.99, 1.79),
                ("without the model router", 81.51, 3.16),
                ("without the cost", 79.83, 2.14),
                ("without the confidence", 76.47, 1.68),
            ),
        ),
        _costed(
            "oi-mas-table-3-mbpp",
            "OI-MAS Table 3: ablation, MBPP",
            f"{OI_MAS}, Table 3",
            (
                ("OI-MAS", 91.59, 1.67),
                ("without the model router", 93.28, 3.07),
                ("without the cost", 92.43, 1.96),
                ("without the confidence", 87.39, 1.53),
            ),
        ),
        _cope(),
    )
}
