"""REST of comments: read, write, change and delete them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from webapp.api.access import ERRORS, user_of
from webapp.api.schemas import ErrorBody, Strict
from webapp.discussion import reads, services
from webapp.discussion.models import Comment
from webapp.review.labels import note_opened
from webapp.runs.models import Run

MOST = 1_000
router = Router(tags=["comments"])


class CommentText(Strict):
    text: str = Field(description="At most 4,000 characters; @name calls a member.")


class CommentInput(CommentText):
    step: int | None = Field(None, ge=1, description="Left out: about the run as a whole.")
    uuid: UUID | None = Field(None, description="Your own id: sent again, nothing is doubled.")


class CommentOut(Schema):
    uuid: UUID
    run: UUID
    step: int | None
    author: str
    text: str = Field(description='"" once it is deleted.')
    mentions: list[str] = Field(description="Members that the text calls.")
    created_at: datetime
    edited_at: datetime | None
    deleted: bool
    url: str = Field(description="Its permalink, below this site.")


def _run(request: HttpRequest, uuid: UUID) -> Run:
    return get_object_or_404(Run.objects.for_user(user_of(request)), uuid=uuid)


def _comment(request: HttpRequest, uuid: UUID) -> Comment:
    mine = Comment.objects.for_user(user_of(request)).select_related("run")
    return get_object_or_404(mine, uuid=uuid)


def _body(comment: Comment) -> dict[str, Any]:
    return reads.comment_dicts(comment.workspace_id, [comment])[0]


@router.get("/runs/{uuid:uuid}/comments", response={200: list[CommentOut], **ERRORS})
def list_comments(
    request: HttpRequest,
    uuid: UUID,
    offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
) -> list[dict[str, Any]]:
    """Return the comments of a run, oldest first."""
    run = _run(request, uuid)
    note_opened(user_of(request), [run.uuid])
    found = reads.visible_comments(user_of(request), run)[offset : offset + limit]
    return reads.comment_dicts(run.workspace_id, list(found))


@router.post("/runs/{uuid:uuid}/comments", response={201: CommentOut, 429: ErrorBody, **ERRORS})
def add_comment(request: HttpRequest, uuid: UUID, payload: CommentInput) -> Status[dict[str, Any]]:
    """Write a comment; `@name` calls a member. The same `uuid` again gives the first comment."""
    comment = services.add(
        _run(request, uuid),
        user_of(request),
        payload.text,
        step=payload.step,
        uuid=payload.uuid or uuid4(),
    )
    return Status(201, _body(comment))


@router.patch("/comments/{uuid:uuid}", response={200: CommentOut, 429: ErrorBody, **ERRORS})
def edit_comment(request: HttpRequest, uuid: UUID, payload: CommentText) -> dict[str, Any]:
    """Give your own comment another text; the history keeps the old one."""
    return _body(services.edit(_comment(request, uuid), user_of(request), payload.text))


@router.delete("/comments/{uuid:uuid}", response={200: CommentOut, **ERRORS})
def delete_comment(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """Take the text of your own comment away; owners may delete everybody's."""
    return _body(services.delete(_comment(request, uuid), user_of(request)))
