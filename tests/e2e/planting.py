"""Puts people and stored runs into the product's database (``python -m tests.e2e.planting``).

Reads the addresses of servers by the name of their ladder and prints a ``Ground``, both as JSON. A process of its own, so that the
tests themselves need no database.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import django

django.setup()

from tests.e2e.gardener import plant  # noqa: E402 - models need the set-up

if __name__ == "__main__":
    json.dump(asdict(plant(json.load(sys.stdin))), sys.stdout)
