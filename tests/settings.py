"""Settings of the tests: embedded, in a folder of their own, with a cheap password hash.

``DATABASE_URL`` and ``REDIS_URL`` of the caller are obeyed: that is how the same tests run on
PostgreSQL (``tests/webapp/test_on_postgresql.py``).
"""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="tandem-tests-"))
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")
os.environ.setdefault("TANDEM_HTTPS", "0")
os.environ.setdefault("TANDEM_STATIC_HASHED", "0")

from webapp.settings import *  # noqa: F403
from webapp.settings import DATA_DIR, DATABASES

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # a file: threads share it as they do in production
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # one connection a thread: a pool would outlive the test database
    DATABASES["default"]["OPTIONS"].pop("pool")
