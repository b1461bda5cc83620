"""Comments and notifications over HTTP: as JSON for the page, as a page, over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.webapp.discussion.test_services import run, say
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue
from webapp.discussion.models import Comment, Notification
from webapp.review import labelling
from webapp.review.models import Item
from webapp.runs.models import Run
from webapp.teams.models import Membership

__all__ = ["run"]
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> @rita"


def test_the_page_asks_again_only_after_a_change(bob: Client, room: Room, run: Run) -> None:
    url = f"/runs/{run.uuid}/comments.json"
    first = bob.get(url).json()
    assert bob.get(url, {"version": first["version"]}).status_code == 204
    say(room, run, "rita", "new", step=1)
    second = bob.get(url, {"version": first["version"]}).json()
    assert [(one["author"], one["step"], one["text"]) for one in second["comments"]] == [
        ("rita", 1, "new")
    ]
    assert second["members"] == ["alice", "bob", "rita", "vera"]


def test_a_comment_is_written_changed_and_deleted(rita: Client, run: Run) -> None:
    made = rita.post(f"/runs/{run.uuid}/comments/add/", {"text": "@bob see", "step": "2"}).json()
    assert (made["author"], made["mentions"], made["step"]) == ("rita", ["bob"], 2)
    assert made["url"] == f"/runs/{run.uuid}/#comment-{made['uuid']}"
    changed = rita.post(f"/comments/{made['uuid']}/edit/", {"text": "other"}).json()
    assert (changed["text"], changed["edited_at"] is None) == ("other", False)
    gone = rita.post(f"/comments/{made['uuid']}/delete/").json()
    assert (gone["text"], gone["deleted"]) == ("", True)


@pytest.mark.parametrize(
    "form",
    [
        {"text": " "},
        {"text": "x" * 5_000},
        {"text": "x", "step": "two"},
        {"text": "x", "uuid": "1"},
    ],
)
def test_what_is_wrong_is_said_at_its_field(rita: Client, run: Run, form: dict[str, str]) -> None:
    answer = rita.post(f"/runs/{run.uuid}/comments/add/", form)
    assert answer.status_code == 422
    assert answer.json()["message"]
    assert answer.json()["field"] in ("text", "step", "uuid")
    assert not Comment.objects.exists()


def test_a_flood_gets_429(room: Room, rita: Client, run: Run) -> None:
    answers = [
        rita.post(f"/runs/{run.uuid}/comments/add/", {"text": str(n)}).status_code
        for n in range(21)
    ]
    assert answers == [200] * 20 + [429]


def test_notifications_are_listed_counted_and_read(rita: Client, room: Room, run: Run) -> None:
    say(room, run, "bob", HOSTILE)
    text = rita.get("/notifications/").content.decode()
    assert 'aria-label="Notifications, 1 unread"' in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    one = Notification.objects.get(user=room.users["rita"])
    answer = rita.post(f"/notifications/{one.pk}/open/")
    assert answer.headers["Location"] == Comment.objects.get().url
    assert "unread" not in rita.get("/notifications/").content.decode()


def test_a_notification_is_for_its_reader_only(room: Room, run: Run) -> None:
    say(room, run, "bob", "@rita")
    one = Notification.objects.get(user=room.users["rita"])
    for name in ("bob", "charlie"):
        assert room.client(name).post(f"/notifications/{one.pk}/open/").status_code == 404
        room.client(name).post("/notifications/read/")
    one.refresh_from_db()
    assert one.read_at is None


def test_who_is_removed_reads_no_notification_any_more(rita: Client, room: Room, run: Run) -> None:
    say(room, run, "bob", "@rita the secret plan")
    Membership.objects.filter(user=room.users["rita"]).delete()
    assert "secret plan" not in rita.get("/notifications/").content.decode()


def test_many_notifications_come_in_pages(rita: Client, room: Room, run: Run) -> None:
    comments = Comment.objects.bulk_create(
        Comment(workspace=room.workspace, run=run, author_name="bob", text=f"number {n};")
        for n in range(120)
    )
    Notification.objects.bulk_create(
        Notification(user=room.users["rita"], comment=one, reason="mention") for one in comments
    )
    page = rita.get("/notifications/")
    assert "99+" in page.content.decode()
    before = page.context["page"].next_before
    older = rita.get(f"/notifications/?before={before}").content.decode()
    assert "number 69;" in older
    assert "number 70;" not in older


def test_the_review_page_shows_no_comment_on_what_is_still_to_label(
    rita: Client, room: Room
) -> None:
    queue = make_queue(room)
    place = item(queue)
    assert place.run is not None
    for step in (None, place.step):
        say(room, place.run, "bob", "FALSE PROGRESS @rita", step=step)
    told = rita.get("/notifications/").content.decode()
    assert "FALSE PROGRESS" not in told
    assert told.count("Hidden until you have labelled it.") == 2
    review = f"/runs/{place.run.uuid}/comments.json?in=review"
    assert "FALSE PROGRESS" not in rita.get(review).content.decode()
    assert "in=review" in rita.get(f"/review/runs/{place.run.uuid}/").content.decode()
    before = rita.get(review).json()["version"]
    for one in Item.objects.filter(queue=queue).order_by("position"):
        labelling.save(item(queue, one.position), room.users["rita"], given())
    after = rita.get(review, {"version": before}).json()["comments"]
    assert [one["text"] for one in after] == ["FALSE PROGRESS @rita"] * 2
    assert rita.get("/notifications/").content.decode().count("FALSE PROGRESS") == 2


# --- REST ---------------------------------------------------------------------------------------
def test_comments_over_rest(room: Room, run: Run) -> None:
    bearer: dict[str, Any] = room.bearer("rita")
    url, client = f"/api/v1/runs/{run.uuid}/comments", Client()
    body = {"text": "@bob see", "step": 1, "uuid": "00000000-0000-4000-8000-000000000001"}
    first = client.post(url, body, "application/json", **bearer)
    again = client.post(url, body, "application/json", **bearer)
    assert (first.status_code, first.json()) == (201, again.json())
    assert client.get(url, **bearer).json() == [first.json()]
    one = f"/api/v1/comments/{first.json()['uuid']}"
    changed = client.patch(one, {"text": "b"}, "application/json", **bearer).json()
    assert changed["text"] == "b"
    assert client.delete(one, **bearer).json()["deleted"] is True
    assert client.patch(one, {"text": "c"}, "application/json", **bearer).status_code == 422
    refused = client.post(url, {"text": "x", "step": 9}, "application/json", **bearer)
    assert (refused.status_code, refused.json()["field"]) == (422, "step")
    mass = client.post(url, {"text": "x", "author": "alice"}, "application/json", **bearer)
    assert mass.status_code == 422


def test_a_stranger_finds_no_comment(room: Room, run: Run) -> None:
    comment = say(room, run, "bob", "x")
    charlie = room.client("charlie")
    assert charlie.get(f"/runs/{run.uuid}/comments.json").status_code == 404
    assert charlie.post(f"/comments/{comment.uuid}/edit/", {"text": "y"}).status_code == 404
    assert (
        Client().get(f"/api/v1/runs/{run.uuid}/comments", **room.bearer("charlie")).status_code
        == 404
    )
