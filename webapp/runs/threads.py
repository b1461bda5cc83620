"""Queries from the threads of an event loop's process, where no request ends and tidies up."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseError
from django.db import connection

P = ParamSpec("P")
T = TypeVar("T")


def query(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it with this thread's connection.

    SQLite's is kept (opening costs more than a query), PostgreSQL's goes back to the pool, a broken
    one is dropped.
    """
    try:
        return function(*args, **kwargs)
    except DatabaseError:
        connection.close()
        raise
    finally:
        if connection.vendor != "sqlite":
            connection.close()
