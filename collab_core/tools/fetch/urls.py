"""Addresses of pages as a model or a redirect wrote them: read once, refused when in doubt.

The object that was checked is the object that is connected to, so there is no second parser that
could read the text another way.
"""

from __future__ import annotations

import re
import unicodedata

from yarl import URL

from collab_core.tools.fetch.addresses import AddressPolicy, parse_address
from collab_core.tools.fetch.errors import FetchFailed

MAX_URL_CHARS = 2_000
"""What a URL says can leave the installation: a bound on how much."""
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_USER = re.compile(r"[^/?#]*//[^/?#]*@")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOW = "Give a whole address such as https://example.org/page."


def checked_url(text: str, policy: AddressPolicy) -> URL:
    """Return the URL without its fragment.

    Raises:
        FetchFailed: it is too long, no http(s) URL, holds a user name, a backslash or a control
            character, or names a port or a form of address that is not used for pages.
    """
    _check_text(text)
    try:
        url = URL(text.strip())
    except ValueError:
        raise _refused("is not an address of a page") from None
    _check_parts(url, policy)
    return url.with_fragment(None)


def followed_url(base: URL, location: str, policy: AddressPolicy) -> URL:
    """Return where a redirect leads, checked like any other URL.

    Raises:
        FetchFailed: see :func:`checked_url`.
    """
    _check_text(location)
    try:
        url = base.join(URL(location.strip()))
    except ValueError:
        raise _refused("redirects to something that is no address") from None
    if len(str(url)) > MAX_URL_CHARS:
        raise _refused(f"redirects to an address of more than {MAX_URL_CHARS} characters")
    _check_parts(url, policy)
    return url.with_fragment(None)


def _check_text(text: str) -> None:
    if len(text) > MAX_URL_CHARS:
        raise _refused(f"has {len(text)} characters; at most {MAX_URL_CHARS} are allowed")
    bad = next((c for c in text.strip() if unicodedata.category(c)[0] in "CZ" or c == "\\"), None)
    if bad is not None:
        raise _refused(f"holds the character U+{ord(bad):04X}, which no address has")
    if _USER.match(text.strip()):
        raise _refused("must not hold a user name or password")


def _check_parts(url: URL, policy: AddressPolicy) -> None:
    if url.scheme not in ("http", "https"):
        raise _refused("must begin with http:// or https://")
    if url.raw_user is not None or url.raw_password is not None:
        raise _refused("must not hold a user name or password")
    host, port = url.raw_host or "", url.port or 0
    if not host:
        raise _refused("has no host name")
    if "%" in host or parse_address(host) is None:
        _check_name(host)
    if not policy.port_usable(host, port):
        raise _refused(f"names port {port}; only {_ports(policy)} may be used")


def _check_name(host: str) -> None:
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise _refused("has a host name that is none")
    # decimal, octal, hexadecimal and shortened addresses, which a resolver may accept
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise _refused("spells an IP address in an unusual form")


def _ports(policy: AddressPolicy) -> str:
    return " and ".join(str(port) for port in sorted(policy.ports))


def _refused(what: str) -> FetchFailed:
    return FetchFailed("refused_url", f"The address {what}. {_HOW}")
