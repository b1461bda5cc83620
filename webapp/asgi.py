"""The ASGI entry: static files, Django, and the sockets."""

from __future__ import annotations

import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django_application = get_asgi_application()

# after Django is set up: these import models
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from webapp.routing import websocket_urlpatterns  # noqa: E402
from webapp.runs.origin import SameOriginOnly  # noqa: E402
from webapp.static_asgi import ASGIApp, StaticFiles  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": StaticFiles(cast("ASGIApp", django_application)),
        "websocket": SameOriginOnly(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
