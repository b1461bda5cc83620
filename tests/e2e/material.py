"""Prints a personal token of somebody (``python -m tests.e2e.material``, the name on standard input)."""

from __future__ import annotations

import sys

import django

django.setup()

from webapp.teams.models import Token, User  # noqa: E402 - models need the set-up

if __name__ == "__main__":
    user = User.objects.get(username=sys.stdin.read().strip())
    sys.stdout.write(Token.objects.issue(user, "e2e")[1])
