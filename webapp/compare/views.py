"""Runs side by side; reads only."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_GET

from collab_core.strategies.registry import STRATEGIES
from webapp.runs.models import Run
from webapp.static_files import PLOTLY_URL_PATH
from webapp.teams.access import active_workspace, current_user

MOST = 6
CANDIDATES = 30


@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """Show the runs that ``?runs=uuid,uuid`` names, each letter in the order of the address.

    A run of a stranger's workspace, or none at all, is a 404 like everywhere else.
    """
    wanted = _wanted(request.GET.get("runs", ""))
    runs = _runs(request, wanted[:MOST])
    baseline = request.GET.get("baseline", "")
    chips = [_chip(run, runs, baseline) for run in runs]
    context: dict[str, Any] = {
        "runs": runs,
        "chips": chips,
        "dropped": max(0, len(wanted) - MOST),
        "enough": len(runs) >= 2,
        "simulated": any(run.simulated for run in runs),
        "stand_in": any(run.stand_in for run in runs),
        "one_task": len({run.question for run in runs}) == 1,
        "candidates": _candidates(request, runs, baseline) if len(runs) < MOST else [],
        "plotly_js": static(PLOTLY_URL_PATH),
        "payload": {
            "runs": [_for_page(run) for run in runs],
            "baseline": _baseline(runs, baseline),
        },
    }
    return render(request, "compare/compare.html", context)


def _baseline(runs: list[Run], chosen: str) -> int:
    """Return the place of the chosen run, else of a large-only one: speedup is defined against it."""
    for place, run in enumerate(runs):
        if str(run.uuid) == chosen:
            return place
    return next((place for place, run in enumerate(runs) if run.strategy == "large"), 0)


def _wanted(raw: str) -> list[UUID]:
    found: list[UUID] = []
    for part in raw[:2_000].split(","):
        if not part.strip():
            continue
        try:
            uuid = UUID(part.strip())
        except ValueError:
            raise Http404("The address names something that is no run.") from None
        if uuid not in found:
            found.append(uuid)
    return found


def _runs(request: HttpRequest, uuids: list[UUID]) -> list[Run]:
    known = {
        run.uuid: run for run in Run.objects.for_user(current_user(request)).filter(uuid__in=uuids)
    }
    if len(known) != len(uuids):
        raise Http404("There is no such run.")
    return [known[uuid] for uuid in uuids]


def _candidates(request: HttpRequest, runs: list[Run], baseline: str) -> list[dict[str, Any]]:
    """Return runs to add, those of the same task first."""
    base = Run.objects.filter(workspace_id=active_workspace(request).workspace_id).exclude(
        pk__in=[run.pk for run in runs]
    )
    recent = base.order_by("-created_at", "-id")
    same = list(recent.filter(question=runs[0].question)[:CANDIDATES]) if runs else []
    others = [run for run in recent[:CANDIDATES] if run.pk not in {one.pk for one in same}]
    return [
        {"run": run, "url": address([*runs, run], baseline), "same": index < len(same)}
        for index, run in enumerate([*same, *others][:CANDIDATES])
    ]


def _chip(run: Run, runs: list[Run], baseline: str) -> dict[str, Any]:
    rest = [one for one in runs if one.pk != run.pk]
    return {
        "run": run,
        "title": _title(run),
        "without": address(rest, baseline),
        "as_baseline": address(runs, str(run.uuid)),
    }


def _title(run: Run) -> str:
    strategy = STRATEGIES.get(run.strategy)
    title = strategy.title if strategy else run.strategy
    return f"{title}, planner" if run.parameters.get("agent") == "planner-executor" else title


def address(runs: list[Run], baseline: str = "") -> str:
    """Return the comparison of these runs as an address."""
    query = {"runs": ",".join(str(run.uuid) for run in runs)}
    if baseline and baseline in query["runs"]:
        query["baseline"] = baseline
    return f"{reverse('compare:compare')}?{urlencode(query, safe=',')}"


def _for_page(run: Run) -> dict[str, Any]:
    return {
        "uuid": str(run.uuid),
        "ref": str(run),
        "title": _title(run),
        "url": reverse("runs:detail", args=[run.uuid]),
        "socket": f"/ws/runs/{run.uuid}/",
    }
