"""The bell of the shell."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext

from webapp.discussion import reads
from webapp.teams.models import User

register = template.Library()


@register.inclusion_tag("discussion/_bell.html", takes_context=True)
def bell(context: RequestContext, style: str = "") -> dict[str, Any]:
    """Link to the notifications, with how many are unread; one query a page."""
    user = context.get("user")
    request = context["request"]
    known = getattr(request, "_unread", None)
    if known is None:
        known = reads.unread(user) if isinstance(user, User) else 0
        request._unread = known  # noqa: SLF001 - there are two bells on a page
    words = f"{reads.MANY}+" if known > reads.MANY else str(known)
    return {"unread": known, "words": words, "style": style}
