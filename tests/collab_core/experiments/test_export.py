from __future__ import annotations

import csv
import io
import json
import re

import pytest

from collab_core.experiments.columns import COLUMNS
from collab_core.experiments.export import FORMATS, Format, export, shown
from collab_core.experiments.published import beside
from collab_core.experiments.table import Measured, Table, table
from tests.collab_core.experiments.trials import random_trials, trial

HOSTILE = '=HYPERLINK("http://x")|<b>%\\x_1~^{}&$#\n\x00'


def made() -> Table:
    trials = [*random_trials(["large"], tasks=8), trial("mine", 0, simulated=True, stand_in=True)]
    return beside(table(trials, baseline="large"), "agentcollab-table-2")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_keeps_every_mark(form: Format) -> None:
    text = export(made(), form)
    mine = next(line for line in text.splitlines() if "mine" in line)
    ours = next(line for line in text.splitlines() if "AgentCollab (dynamic)" in line)
    if form == "csv":
        rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(text))}
        assert (rows["mine"]["simulated"], rows["mine"]["stand_in"]) == ("1", "1")
        assert rows["AgentCollab (dynamic)"]["published"] == "1"
        assert rows["AgentCollab (dynamic)"]["second_hand"] == "speedup"
    elif form == "jsonl":
        assert json.loads(mine)["simulated"] is json.loads(mine)["stand_in"] is True
        assert json.loads(ours)["published"] is True
    else:
        assert "simulated, stand-in" in mine
        assert "published" in ours
        assert ours.count("dagger" if form == "tex" else "†") == 1


@pytest.mark.parametrize("form", FORMATS)
def test_the_names_of_users_stay_text(form: Format) -> None:
    text = export(table([trial(HOSTILE, 0)]), form)
    if form == "csv":
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["arm"].startswith("'=")
    elif form == "jsonl":
        (line,) = text.splitlines()
        assert json.loads(line)["arm"] == HOSTILE
    elif form == "md":
        line = text.splitlines()[2]
        assert len(re.findall(r"(?<!\\)\|", line)) == len(table([]).columns) + 3 + _columns()
        assert "<b>" not in text
    else:
        line = next(line for line in text.splitlines() if "HYPERLINK" in line)
        assert r"\%\textbackslash{}x\_1\textasciitilde{}\textasciicircum{}\{\}\&\$\#" in line
        assert len(re.findall(r"(?<!\\)&", line)) == 1 + _columns()


def _columns() -> int:
    return len(table([trial("a", 0)]).columns)


def test_figures_are_rounded_with_their_interval() -> None:
    figure = Measured(value=0.33912, low=0.287, high=0.396)
    assert shown(COLUMNS["accuracy"], figure) == "33.9 [28.7, 39.6]"
    assert shown(COLUMNS["speedup"], Measured(value=1.3551)) == "1.36"
    assert shown(COLUMNS["cost_usd"], Measured()) == ""


def test_csv_has_bounds_sizes_and_methods() -> None:
    text = export(table(random_trials(["a"], tasks=8)), "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert float(row["accuracy_low"]) <= float(row["accuracy"]) <= float(row["accuracy_high"])
    assert (row["accuracy_n"], row["accuracy_method"]) == ("8", "wilson")
    assert row["steps_method"] == "bootstrap"


def test_unknown_is_empty_and_not_zero() -> None:
    (row,) = csv.DictReader(io.StringIO(export(table([trial("a", 0, cost_usd=None)]), "csv")))
    assert row["spent_usd"] == ""
    assert "cost_usd" not in row


def test_markdown_and_latex_of_an_empty_table() -> None:
    for form in FORMATS:
        assert isinstance(export(table([]), form), str)
