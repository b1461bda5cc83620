"""Puts reviewers and a large queue into the product's database (``python -m tests.e2e.reviewers``).

Reads ``{"reviewers", "steps", "overlap"}`` and prints ``{"queue", "set", "tokens", "owner", "places"}``,
both as JSON; ``places``: run and step by position.
"""

from __future__ import annotations

import json
import sys

import django

django.setup()

from tests.e2e.gardener import _run  # noqa: E402 - models need the set-up
from tests.e2e.stories import Story, turns  # noqa: E402
from webapp.review import services  # noqa: E402
from webapp.runs.models import Run  # noqa: E402
from webapp.teams.models import Membership, Role, Token, User, Workspace  # noqa: E402

STEPS_A_RUN = 100

if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    demo = Workspace.objects.get(name="Demo")
    owner = User.objects.get(username="demo")
    tokens = {}
    for number in range(wanted["reviewers"]):
        user = User.objects.create_user(f"reviewer-{number}")
        Membership.objects.create(workspace=demo, user=user, role=Role.REVIEWER)
        tokens[user.username] = Token.objects.issue(user, "labelling")[1]
    runs = [
        _run(
            demo,
            Story(
                question=f"Task {number}",
                turns=turns(STEPS_A_RUN),
                end="finished",
                submitted_by="demo",
            ),
        )
        for number in range(wanted["steps"] // STEPS_A_RUN)
    ]
    label_set = services.create_label_set(demo, owner, name="Load", overlap=wanted["overlap"])
    queue = services.create_queue(
        label_set,
        owner,
        services.Wanted(
            name="Load",
            runs=list(Run.objects.filter(uuid__in=runs).values_list("pk", flat=True)),
            words="planted runs",
            method="all",
            people=list(User.objects.filter(username__startswith="reviewer-")),
        ),
    )
    places = queue.items.values_list("position", "run_uuid", "step")
    told = {"queue": str(queue.uuid), "set": str(label_set.uuid), "tokens": tokens}
    told["owner"] = Token.objects.issue(owner, "reading")[1]
    told["places"] = {position: [str(run), step] for position, run, step in places}
    json.dump(told, sys.stdout)
