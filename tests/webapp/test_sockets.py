"""Every socket of the site has its tests of who gets in; a new one needs a row here."""

from __future__ import annotations

from webapp.routing import websocket_urlpatterns

TESTED = {
    "ws/runs/<uuid:uuid>/": "tests/webapp/runs/test_consumers.py",
    "ws/experiments/<uuid:uuid>/": "tests/webapp/experiments/test_live.py",
}


def test_every_socket_is_tested_somewhere() -> None:
    assert {str(route.pattern) for route in websocket_urlpatterns} == set(TESTED)
