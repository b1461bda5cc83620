"""The guard of all these tests sees what it is there for."""

from __future__ import annotations

import pytest

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground
from tests.e2e.pages import RunPage

MISDEEDS = {
    "console error: oh no": "console.error('oh no')",
    "console warning: hm": "console.warn('hm')",
    "page error": "setTimeout(() => { throw new Error('broken'); })",
    "CSP refused style-src-attr": "document.body.setAttribute('style', 'color: red')",
    "CSP refused script-src-elem": "document.body.append(Object.assign(document.createElement('script'), { text: '1' }))",
    "CSP refused connect-src": "fetch('http://evil.example/').catch(() => 0)",
    "HOSTILE TEXT RAN": "window.__xss = 1",
    "dialog: hello": "setTimeout(() => alert('hello'))",
}


@pytest.mark.parametrize("finding", MISDEEDS)
def test_a_misdeed_is_seen(enter: Enter, guards: list[Guard], finding: str) -> None:
    page = enter("", "/login/")
    page.evaluate(f"() => {{ {MISDEEDS[finding]}; }}")
    page.wait_for_timeout(200)
    assert finding in str(guards[0].unexpected())
    guards[0].allow(".")


def test_a_request_to_another_host_is_seen(enter: Enter, guards: list[Guard]) -> None:
    page = enter("")
    page.route("**/*", lambda route: route.abort())
    page.set_content("<img src='http://evil.example/p.png'>")
    page.wait_for_timeout(200)
    assert "request to another host: http://evil.example/p.png" in guards[0].unexpected()
    guards[0].allow(".")


def test_a_doubled_step_is_seen(enter: Enter, ground: Ground) -> None:
    shown = RunPage(enter("bob")).open(ground.path("finished"))
    first = shown.page.locator("#trajectory li[data-step]").first
    first.evaluate("one => one.after(one.cloneNode(true))")
    assert shown.order_faults() != []
