"""A planner and its seekers, live and afterwards: every agent is told apart, nothing is lost."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Enter, Visitors
from tests.e2e.pages import NewRunPage, RunPage, finished_steps, log_of, run_path


@pytest.fixture(scope="module")
def team_run(visitors: Visitors) -> str:
    """Submit a run of a planner and seekers, see them at work at the same time; return its path."""
    context = visitors.context("bob")
    page = context.new_page()
    form = NewRunPage(page).pick("easy", place=0).settle(ladder="real").choose("agentcollab")
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    page.locator("[name=agentcollab-agent]").select_option("planner-executor")
    shown = form.submit()
    # two seekers at work, and the planner that waits for them
    page.wait_for_function(
        "() => document.querySelectorAll('#trajectory .step-running').length >= 3"
    )
    expect(page.locator("#now-title")).to_have_text("2 agents at work")
    expect(page.locator("#now-line")).to_contain_text("Planner waits")
    expect(page.locator(".step-running", has_text="Planner")).to_contain_text(
        "waiting for 2 agents"
    )
    page.reload()
    expect(page.locator("#agent-filter option")).not_to_have_count(1)
    shown.wait_until_ended()
    assert shown.order_faults() == []
    path = run_path(page)
    context.close()
    return path


def _by_scope(log: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for step in sorted(finished_steps(log), key=lambda step: step["step"]):
        found[step["scope"]].append(step)
    return found


def test_every_step_is_shown_once_and_says_whose_it_is(enter: Enter, team_run: str) -> None:
    shown = RunPage(enter("vera")).open(team_run)
    shown.page.set_viewport_size({"width": 1440, "height": 30_000})
    log = log_of(shown.page)
    numbers = sorted(step["step"] for step in finished_steps(log))
    assert numbers == list(range(1, len(numbers) + 1))
    expect(shown.page.locator("#trajectory li[data-step]")).to_have_count(len(numbers))
    assert sorted(shown.cards()) == numbers
    expect(shown.card(1).locator(".agent-name")).to_have_text("Planner")
    first = _by_scope(log)["seeker-1.1"][0]["step"]
    expect(shown.card(first).locator(".agent-name")).to_have_text("Seeker 1.1")


def test_one_agent_can_be_read_alone(enter: Enter, team_run: str) -> None:
    shown = RunPage(enter("vera")).open(team_run)
    shown.page.set_viewport_size({"width": 1440, "height": 30_000})
    steps = [step["step"] for step in _by_scope(log_of(shown.page))["seeker-1.2"]]
    shown.page.get_by_label("Show the steps of").select_option("Seeker 1.2")
    expect(shown.page.locator("#trajectory li[data-step]")).to_have_count(len(steps))
    assert sorted(shown.cards()) == steps
    # a permalink to another agent's step shows all of them again
    shown.page.goto(f"{team_run}#step-1")
    expect(shown.card(1)).to_be_in_viewport()
    expect(shown.page.get_by_label("Show the steps of")).to_have_value("*")


def test_figures_are_those_of_the_instances(enter: Enter, team_run: str) -> None:
    shown = RunPage(enter("vera")).open(team_run)
    log = log_of(shown.page)
    paths = [[step["tier"] for step in steps] for steps in _by_scope(log).values()]
    switches = sum(a != b for path in paths for a, b in pairwise(path))
    ratio = round(100 * switches / sum(len(path) - 1 for path in paths))
    expect(shown.page.locator("#kpi-switches")).to_have_text(str(switches))
    expect(shown.page.locator("#kpi-switches-context")).to_have_text(f"{ratio}% of steps")
    latest = max(step["cumulative_s"] for step in finished_steps(log))
    read = shown.page.locator("#kpi-elapsed").inner_text()
    assert abs(float(read) - latest) < 0.1
    points = shown.page.locator("#plot[data-points]")
    expect(points).to_have_attribute("data-points", str(len(finished_steps(log))))


def test_table_and_csv_name_the_agents(enter: Enter, team_run: str) -> None:
    shown = RunPage(enter("vera")).open(team_run)
    answer = shown.page.request.get(f"{team_run}steps.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    table = shown.table()
    assert [cells[0] for cells in table] == [row["step"] for row in rows]
    for cells, row in zip(table, rows, strict=True):
        assert cells[1] == (row["scope"] or row["role"]).replace("-", " ").capitalize()


def test_a_fork_keeps_the_seekers_of_the_steps_it_shares(enter: Enter, team_run: str) -> None:
    shown = RunPage(enter("bob")).open(team_run)
    log = log_of(shown.page)
    scopes = _by_scope(log)
    seeker = scopes["seeker-1.1"][0]["step"]
    shown.page.goto(f"{team_run}#step-{seeker}")
    expect(shown.card(seeker)).to_be_in_viewport()
    expect(shown.card(seeker).get_by_role("button", name="Fork")).to_have_count(0)
    shown.page.goto(f"{team_run}#step-1")
    shown.card(1).get_by_role("button", name="Fork after step 1").click()
    dialog = shown.page.locator("#fork-dialog")
    dialog.locator("[name=strategy]").select_option("large")
    dialog.get_by_role("button", name="Fork").click()
    shown.page.wait_for_url(
        lambda url: team_run not in url and re.search(r"/runs/[0-9a-f-]{36}/", url) is not None
    )
    shown.wait_until_ended()
    child = _by_scope(log_of(shown.page))
    shared = [scope for scope in scopes if scope.startswith("seeker-1.")]
    assert shared
    for scope in shared:
        assert child[scope] == [
            step | {"seq": mine["seq"], "at": mine["at"]}
            for step, mine in zip(scopes[scope], child[scope], strict=True)
        ]
    assert {step["tier"] for step in child[""][1:]} == {1}
