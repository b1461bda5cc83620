"""Plants label sets: one half labelled by two people who differ, and one to be worked through."""

from __future__ import annotations

from collections.abc import Mapping

from tests.e2e.payloads import PAYLOADS
from webapp.review import disputes, labelling, services
from webapp.review.models import Item, LabelSet, Queue
from webapp.runs.models import Run
from webapp.teams.models import Membership, User, Workspace

FIFTY = 50


def plant_review(room: Workspace, runs: Mapping[str, str]) -> dict[str, str]:
    """Return addresses: ``set`` and its ``queue``; ``open`` (not blind); ``fifty``, for Alice alone;
    ``lost``, for Bob alone; ``fast``, for Rob alone; ``run``, with labels."""
    alice, bob, rob = (User.objects.get(username=name) for name in ("alice", "bob", "rob"))
    short = [runs["finished"], runs["failed"]]
    shared = _set(room, alice, "First pass", overlap=2)
    queue = _queue(shared, alice, short, method="all", size=0)
    _differ(queue, alice, bob)
    fifty = _queue(
        _set(room, alice, "By keyboard"), alice, [runs["long-1000"]], size=FIFTY, people=[alice]
    )
    lost = _queue(_set(room, alice, "Offline"), alice, [runs["long-1000"]], size=8, people=[bob])
    fast = _queue(_set(room, alice, "In a hurry"), alice, [runs["long-1000"]], size=8, people=[rob])
    Workspace.objects.filter(pk=room.pk).update(blind_review=False)
    seen = _queue(_set(room, alice, "Not blind"), alice, short, method="all", size=0)
    Workspace.objects.filter(pk=room.pk).update(blind_review=True)
    return {
        "set": str(shared.uuid),
        "queue": str(queue.uuid),
        "open": str(seen.uuid),
        "fifty": str(fifty.uuid),
        "fifty_set": str(fifty.label_set.uuid),
        "lost": str(lost.uuid),
        "lost_set": str(lost.label_set.uuid),
        "fast": str(fast.uuid),
        "fast_set": str(fast.label_set.uuid),
        "run": runs["finished"],
    }


def plant_hostile_review(room: Workspace, user: User, runs: list[str]) -> dict[str, str]:
    """Return a ``set`` whose name and comments attack, its ``queue`` and the ``run``; the first step
    is one that its two reviewers differ on."""
    second = User.objects.create(username="<b>second</b>", password="!")
    Membership.objects.create(workspace=room, user=second, role="reviewer")
    hostile = _set(room, user, PAYLOADS[0][:80], overlap=2)
    queue = _queue(hostile, user, runs, method="all", size=0)
    items = Item.objects.select_related("queue__label_set__workspace", "run").filter(queue=queue)
    first = items.get(run__uuid=runs[0], step=1)
    comment = "\n".join(PAYLOADS[:-1])[:9_000]
    for who, answer in ((user, "yes"), (second, "no")):
        labelling.save(first, who, labelling.Given(answer=answer, comment=comment))
    disputes.decide(hostile, user, run_uuid=first.run_uuid, step=1, answer="no", reason=PAYLOADS[0])
    return {"set": str(hostile.uuid), "queue": str(queue.uuid), "run": runs[0]}


def _set(room: Workspace, alice: User, name: str, *, overlap: int = 1) -> LabelSet:
    return services.create_label_set(room, alice, name=name, overlap=overlap)


def _queue(
    label_set: LabelSet,
    alice: User,
    runs: list[str],
    *,
    method: str = "random",
    size: int,
    people: list[User] | None = None,
) -> Queue:
    wanted = services.Wanted(
        name=f"Queue of {label_set.name}",
        runs=list(Run.objects.filter(uuid__in=runs).values_list("pk", flat=True)),
        words="planted runs",
        method=method,
        size=size,
        seed=7,
        people=people or [],
    )
    return services.create_queue(label_set, alice, wanted)


def _differ(queue: Queue, alice: User, bob: User) -> None:
    """Both label the first half; they differ on every third step."""
    items = Item.objects.select_related("queue__label_set__workspace", "run").filter(queue=queue)
    for item in items.filter(position__lte=12):
        truth = "yes" if item.verdict else "no"
        other = "no" if item.position % 3 == 0 else truth
        comment = "<b>Nothing</b> was new." if item.position == 3 else ""
        labelling.save(item, alice, labelling.Given(answer=truth, seconds=9.0))
        labelling.save(item, bob, labelling.Given(answer=other, comment=comment, seconds=12.0))
