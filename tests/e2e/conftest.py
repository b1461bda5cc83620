"""The product, a browser and signed-in people. Everything is started once and ended after the last
test of this folder, so that other tests find no event loop left by Playwright."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.browser import TIMEOUT_MS, Guard, launch
from tests.e2e.ground import PASSWORD, Ground
from tests.e2e.pages import sign_in
from tests.e2e.product import REAL, SLOW, Product, SlowTiers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(__file__.rsplit("/", 1)[0]):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="package")
def tiers() -> Iterator[dict[str, SlowTiers]]:
    """Servers of simulated models by the name of the ladder that is planted for them."""
    servers = {"slow": SlowTiers(SLOW), "real": SlowTiers(REAL)}
    for server in servers.values():
        server.start(ready="/v1")
    yield servers
    for server in servers.values():
        server.stop()
        server.remove()


@pytest.fixture(scope="package")
def product(tiers: dict[str, SlowTiers]) -> Iterator[Product]:
    """The running product; it must also end by itself and without a traceback in its log."""
    started = Product()
    started.start(ready="Tandem is ready")
    yield started
    status, log = started.stop(), started.log.read_text()
    started.remove()
    assert status == 0, log
    assert "Traceback" not in log, log


@pytest.fixture(scope="package")
def ground(product: Product, tiers: dict[str, SlowTiers]) -> Ground:
    printed = product.run_python(
        "tests.e2e.planting", json.dumps({name: server.url for name, server in tiers.items()})
    )
    return Ground(**json.loads(printed))


@pytest.fixture(scope="package")
def chrome() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@dataclass
class Visitors:
    """Opens browsers that are already signed in; each under guard."""

    chrome: Browser
    product: Product
    sessions: dict[str, Any] = field(default_factory=dict)

    def context(self, name: str, **options: Any) -> BrowserContext:
        """Return a context of this person ("" = nobody), reduced motion unless told otherwise."""
        known = self._session(name) if name else None
        given = {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"} | options
        context = self.chrome.new_context(base_url=self.product.url, storage_state=known, **given)
        context.set_default_timeout(TIMEOUT_MS)
        return context

    def _session(self, name: str) -> Any:
        if name not in self.sessions:
            context = self.context("")
            password = self.product.password if name == "demo" else PASSWORD
            sign_in(context.new_page(), name, password)
            self.sessions[name] = context.storage_state()
            context.close()
        return self.sessions[name]


@pytest.fixture(scope="package")
def visitors(chrome: Browser, product: Product, ground: Ground) -> Visitors:
    return Visitors(chrome, product)


Enter = Callable[..., Page]


@pytest.fixture
def guards() -> list[Guard]:
    return []


@pytest.fixture
def enter(visitors: Visitors, guards: list[Guard]) -> Iterator[Enter]:
    """Open a page as somebody; a complaint of any page fails the test."""
    contexts: list[BrowserContext] = []

    def open_as(name: str, path: str = "", **options: Any) -> Page:
        context = visitors.context(name, **options)
        contexts.append(context)
        guards.append(Guard(context, visitors.product.url))
        page = context.new_page()
        if path:
            page.goto(path)
        return page

    yield open_as
    for context in contexts:
        context.close()
    findings = [finding for guard in guards for finding in guard.unexpected()]
    assert findings == []
