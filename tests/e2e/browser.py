"""Headless Chromium, and a guard that fails the test whose page complains or calls elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Playwright, Request

TIMEOUT_MS = 30_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_REPORTER = """
document.addEventListener("securitypolicyviolation", (e) =>
  console.error("CSP refused", e.violatedDirective, e.blockedURI, e.sourceFile, e.lineNumber));
Object.defineProperty(window, "__xss", { set(how) { console.error("HOSTILE TEXT RAN", how); } });
"""


def chromium() -> str:
    """Return the browser's path, or fail with the line that installs it."""
    wanted = os.environ.get("CHROMIUM", "")
    found = (
        shutil.which(wanted)
        if wanted
        else shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if found is None:
        what = f"CHROMIUM={wanted} does not exist" if wanted else "Chromium is missing"
        raise RuntimeError(f"{what}: apt-get install -y chromium (or set CHROMIUM to its path)")
    return found


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


class Guard:
    """Everything a page must not do: complain, run hostile text, open dialogs, call other hosts."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.findings: list[str] = []
        self._host = urlsplit(url).netloc
        self._allowed: list[re.Pattern[str]] = []
        context.add_init_script(_REPORTER)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.findings.append(f"page error: {error.error}"))
        context.on("dialog", self._dialog)
        context.on("request", self._request)

    def allow(self, pattern: str) -> None:
        """Expect this complaint: the test provokes it."""
        self._allowed.append(re.compile(pattern))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.findings.append(f"console {message.type}: {message.text} ({message.location})")

    def _dialog(self, dialog: Dialog) -> None:
        self.findings.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.findings.append(f"request to another host: {request.url[:200]}")

    def unexpected(self) -> list[str]:
        return [
            finding
            for finding in self.findings
            if not any(pattern.search(finding) for pattern in self._allowed)
        ]
