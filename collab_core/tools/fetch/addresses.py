"""Which addresses may be connected to: public ones, and what the installation allows by name.

``ipaddress.is_global`` alone is no filter: it holds for NAT64, 6to4, multicast and other addresses
that lead back into the network, so IPv6 is an allow-list (2000::/3 without the special blocks).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from collab_core.errors import InvalidInput

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

USUAL_PORTS = frozenset({80, 443})
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)


def parse_address(text: str) -> IPAddress | None:
    """Return the address a text spells in its usual form, a mapped IPv4 one unpacked; else None."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: IPAddress) -> bool:
    """Tell whether the address can only be a host of the public Internet.

    >>> is_public(ipaddress.ip_address("64:ff9b::7f00:1")), is_public(ipaddress.ip_address("1.1.1.1"))
    (False, True)
    """
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return False
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in block for block in _SPECIAL if block.version == address.version)


class Allowed(NamedTuple):
    """One entry of the allow-list: a host name or a network, at one port or the usual ones."""

    host: str
    network: IPNetwork | None
    port: int | None

    def covers_port(self, port: int) -> bool:
        return port == self.port if self.port is not None else port in USUAL_PORTS


def parse_allowed(entry: str) -> Allowed:
    """Read ``host``, ``host:port``, a network such as 10.0.0.0/8, or ``[fd00::/8]:8080``.

    Raises:
        InvalidInput: it is none of these.
    """
    place, port = _split_port(entry.strip().lower())
    try:
        return Allowed("", ipaddress.ip_network(place), port)
    except ValueError:
        if not place or not set(place) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_"):
            raise InvalidInput(
                f"{entry[:80]!r} is no host and no network.",
                field="TANDEM_FETCH_ALLOW",
                hint="Write it like wiki.intern, search.intern:8080, 10.1.0.0/16 or [fd00::/8]:80.",
            ) from None
    return Allowed(place.rstrip("."), None, port)


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        place, _, rest = entry[1:].partition("]")
        rest = rest.removeprefix(":")
    elif entry.count(":") == 1:
        place, _, rest = entry.partition(":")
    else:
        return entry, None
    if not rest:
        return place, None
    if not rest.isascii() or not rest.isdecimal() or not 0 < int(rest) < 65_536:
        return "", None
    return place, int(rest)


@dataclass(frozen=True, kw_only=True)
class AddressPolicy:
    """Where connections may go: public addresses at ``ports``, and what ``allowed`` adds."""

    allowed: tuple[Allowed, ...] = ()
    ports: frozenset[int] = field(default=USUAL_PORTS)

    @classmethod
    def of(cls, entries: Iterable[str]) -> AddressPolicy:
        """Return the policy of an allow-list.

        Raises:
            InvalidInput: an entry cannot be read.
        """
        return cls(allowed=tuple(parse_allowed(entry) for entry in entries))

    def port_usable(self, host: str, port: int) -> bool:
        """Tell whether a URL may name the port; a network's port is settled with the address."""
        named = any(
            entry.covers_port(port) and (entry.network is not None or entry.host == _bare(host))
            for entry in self.allowed
        )
        return named or port in self.ports

    def permits(self, host: str, port: int, address: IPAddress) -> bool:
        """Tell whether ``host``, which resolved to ``address``, may be connected to at ``port``."""
        if is_public(address) and port in self.ports:
            return True
        return any(
            entry.covers_port(port)
            and (address in entry.network if entry.network else entry.host == _bare(host))
            for entry in self.allowed
            if entry.network is None or entry.network.version == address.version
        )


def _bare(host: str) -> str:
    return host.lower().rstrip(".")
