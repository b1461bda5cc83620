"""Every setting, read from typed environment variables that fail loudly.

Two ways to run, one code. *Embedded* (neither DATABASE_URL nor REDIS_URL): SQLite and an in-process
broker below DATA_DIR. *Production*: PostgreSQL and Redis; then SECRET_KEY and ALLOWED_HOSTS are
required and HTTPS is assumed unless TANDEM_HTTPS=0.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from collab_core.errors import InvalidInput
from collab_core.tools.settings import read_settings

# makes ModelForm[Endpoint] and the like subscriptable at run time, as the type checker reads them
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent


def env_str(name: str, default: str = "") -> str:
    """Return the variable, or the content of the file that ``NAME_FILE`` points to."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    return os.environ.get(name, default)


def env_bool(name: str, *, default: bool) -> bool:
    raw = env_str(name).strip().lower()
    if raw in ("", "1", "true", "yes", "on", "0", "false", "no", "off"):
        return default if raw == "" else raw in ("1", "true", "yes", "on")
    raise ImproperlyConfigured(f"{name}={raw!r} is not a yes or no: set it to 1 or 0.")


def env_number(name: str, default: float, *, low: float, high: float) -> float:
    raw = env_str(name).strip()
    try:
        value = float(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} is not a number.") from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={raw!r} is out of range: {low:g} to {high:g}.")
    return value


def env_int(name: str, default: int, *, low: int, high: int) -> int:
    value = env_number(name, default, low=low, high=high)
    if value != int(value):
        raise ImproperlyConfigured(f"{name}={value!r} must be a whole number.")
    return int(value)


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in env_str(name, default).split(",") if part.strip()]


def own_secret_key(folder: Path) -> str:
    """Return the key of this installation: made on the first start, readable by its owner only."""
    path, draft = folder / "secret_key", folder / f".secret_key.{os.getpid()}"
    if path.exists():
        return path.read_text()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ImproperlyConfigured(
            f"DATA_DIR={folder} cannot be made a folder ({error.strerror}). Name another one."
        ) from error
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(50))
    with contextlib.suppress(FileExistsError):  # a process that started at the same time was first
        os.link(draft, path)
    draft.unlink()
    return path.read_text()


# --- where and how ------------------------------------------------------------------------------
DATA_DIR = Path(env_str("DATA_DIR", str(BASE_DIR / "var"))).resolve()
DATABASE_URL = env_str("DATABASE_URL")
ENCODER = env_str("TANDEM_ENCODER", "hashed")
BENCHMARKS = Path(env_str("TANDEM_BENCHMARKS")).resolve() if env_str("TANDEM_BENCHMARKS") else None
"""Where the operator keeps published benchmark files, one folder each; docs/benchmarks.md."""
REDIS_URL = env_str("REDIS_URL")
PORT = env_int("PORT", 8000, low=1, high=65_535)
HOST = env_str("HOST", "127.0.0.1")
DEBUG = env_bool("DEBUG", default=False)
EMBEDDED = not DATABASE_URL and not REDIS_URL
HTTPS = env_bool("TANDEM_HTTPS", default=not EMBEDDED and not DEBUG)

SECRET_KEY = env_str("SECRET_KEY")
if not SECRET_KEY and not EMBEDDED:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Make one with `python -c 'import secrets;"
        " print(secrets.token_urlsafe(50))'` and give the same one to every web and worker process."
    )
SECRET_KEY = SECRET_KEY or own_secret_key(DATA_DIR)

ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if EMBEDDED or DEBUG else "")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set: list the host names, comma-separated.")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

# --- the product's own knobs --------------------------------------------------------------------
TANDEM: dict[str, Any] = {
    "lease_s": env_number("TANDEM_LEASE_S", 30, low=1, high=600),
    "reap_every_s": env_number("TANDEM_REAP_EVERY_S", 10, low=0.5, high=600),
    "requeue_after_s": env_number("TANDEM_REQUEUE_AFTER_S", 30, low=1, high=3_600),
    "worker_concurrency": env_int("TANDEM_WORKER_CONCURRENCY", 80, low=1, high=1_000),
    "experiment_concurrency": env_int("TANDEM_EXPERIMENT_CONCURRENCY", 64, low=1, high=10_000),
    "max_active_runs": env_int("TANDEM_MAX_ACTIVE_RUNS", 200, low=1, high=1_000_000),
    "training_limit_s": env_number("TANDEM_TRAINING_LIMIT_S", 3_600, low=10, high=604_800),
    "recheck_s": env_number("TANDEM_RECHECK_S", 3, low=0.2, high=60),
    "simulator_time_scale": env_number("TANDEM_TIME_SCALE", 1.0, low=0.001, high=100),
}

try:
    TOOLS = read_settings(
        {
            "TANDEM_READ_PAGE": env_str("TANDEM_READ_PAGE"),
            "TANDEM_FETCH_ALLOW": env_str("TANDEM_FETCH_ALLOW"),
            "TANDEM_SEARCH_URL": env_str("TANDEM_SEARCH_URL"),
            "TANDEM_SEARCH_HEADER": env_str("TANDEM_SEARCH_HEADER"),
            "TANDEM_SEARCH_FIELDS": env_str("TANDEM_SEARCH_FIELDS"),
            "TANDEM_MCP_CONFIG": env_str("TANDEM_MCP_CONFIG"),
            "TANDEM_SANDBOX": env_str("TANDEM_SANDBOX"),
        }
    )
    """What runs may use besides their collection; docs/tools.md."""
except InvalidInput as error:
    raise ImproperlyConfigured(f"{error.message} {error.hint}".strip()) from error

# --- Django -------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "lucide",
    "webapp.teams",
    "webapp.tiers",
    "webapp.runs",
    "webapp.compare",
    "webapp.strategies",
    "webapp.learning",
    "webapp.experiments",
    "webapp.review",
    "webapp.discussion",
    "webapp.whatif",
    "webapp.api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "webapp.teams.access.NoStoreMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.teams.access.workspace_context",
            ],
        },
    }
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- database -----------------------------------------------------------------------------------
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=20000;",
}


def database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = dict(dj_database_url.parse(url))
    if config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = SQLITE_OPTIONS
    elif config["ENGINE"].endswith("postgresql"):
        config["CONN_HEALTH_CHECKS"] = True
        config["OPTIONS"] = {
            **config.get("OPTIONS", {}),
            "pool": {"min_size": 0, "max_size": 16, "timeout": 10},
            "connect_timeout": 5,
            "tcp_user_timeout": 20_000,
            "options": "-c statement_timeout=30000 -c lock_timeout=15000",
        }
    else:
        raise ImproperlyConfigured(
            f"DATABASE_URL names {config['ENGINE']}: only sqlite:// and postgres:// are supported."
        )
    return config


DATABASES = {"default": database(DATABASE_URL or f"sqlite:///{DATA_DIR / 'tandem.sqlite3'}")}

# --- accounts -----------------------------------------------------------------------------------
AUTH_USER_MODEL = "teams.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
AXES_FAILURE_LIMIT = env_int("TANDEM_LOGIN_FAILURES", 10, low=1, high=1_000)
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

# --- security -----------------------------------------------------------------------------------
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if env_bool("TANDEM_TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4_000
"""An experiment of 50 arms sends every parameter of every arm."""

_PLOTLY_STYLE = "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
"""The one stylesheet that plotly.js 4.1.1 injects; goes stale with another plotly wheel."""
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'", _PLOTLY_STYLE],
        "img-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}

# --- static files -------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = Path(env_str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "webapp.static_files.PlotlyFinder",
]
STATIC_HASHED = env_bool("TANDEM_STATIC_HASHED", default=not EMBEDDED and not DEBUG)
"""Serve what `manage.py collectstatic` made; otherwise the files as they lie."""
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "webapp.static_files.HashedStorage"
        if STATIC_HASHED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- Celery: wake-up, concurrency and a clock; the database decides ------------------------------
CELERY: dict[str, Any] = {
    "broker_url": REDIS_URL or "memory://localhost/",
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {"socket_keepalive": True, "socket_connect_timeout": 5}
    if REDIS_URL
    else {"polling_interval": 0.02},
    "task_ignore_result": True,
    "task_acks_late": False,
    "task_default_queue": "tandem",
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    "accept_content": ["json"],
    "task_serializer": "json",
    "worker_pool": "threads",
    "worker_concurrency": TANDEM["worker_concurrency"] + 4,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": bool(REDIS_URL),
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "beat_schedule": {
        "reap": {"task": "runs.reap", "schedule": TANDEM["reap_every_s"]},
        "reap-trainings": {"task": "learning.reap", "schedule": TANDEM["reap_every_s"]},
        "experiments": {"task": "experiments.tick", "schedule": 2.0},
        "what-ifs": {"task": "whatif.tick", "schedule": 15.0},
        "canary": {"task": "runs.canary", "schedule": 10.0},
        "sandbox": {"task": "runs.check_sandbox", "schedule": 600.0},
    },
}

CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# --- Channels: rare control messages only --------------------------------------------------------
CHANNEL_LAYERS: dict[str, Any] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "tandem-control"},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_str("LOG_LEVEL", "WARNING").upper()},
    "loggers": {
        "webapp": {"level": env_str("LOG_LEVEL", "INFO").upper()},
        "axes": {"level": "ERROR"},
        "django.request": {"level": "ERROR"},
    },
}
