from __future__ import annotations

import ipaddress

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.fetch.addresses import AddressPolicy, is_public, parse_address

NOT_PUBLIC = """
    127.0.0.1 127.255.255.254 10.0.0.1 172.16.5.5 172.31.255.255 192.168.1.1 169.254.169.254
    100.64.0.1 100.127.255.255 0.0.0.0 0.1.2.3 192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1
    198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.1.2.3 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1
    2001:0:53aa:64c:0:7fff:7f00:1 2001:20::1 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1 fc00::1
    fd12:3456::1 fe80::1 fec0::1 ff02::1 fd00:ec2::254
"""
PUBLIC = (
    "1.1.1.1 8.8.8.8 93.184.216.34 100.63.0.1 172.32.0.1 2606:4700::1111 2a00:1450:4001:81b::200e"
)


@pytest.mark.parametrize("text", NOT_PUBLIC.split())
def test_an_address_that_leads_back_into_the_network_is_not_public(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_an_ordinary_address_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


def _permits(policy: AddressPolicy, host: str, port: int, address: str) -> bool:
    return policy.permits(host, port, ipaddress.ip_address(address))


def test_the_empty_allow_list_opens_no_private_target() -> None:
    policy = AddressPolicy.of([])
    assert _permits(policy, "example.org", 443, "1.1.1.1")
    assert not _permits(policy, "example.org", 8080, "1.1.1.1")
    assert not _permits(policy, "wiki.intern", 443, "10.0.0.9")


def test_a_name_is_allowed_at_the_usual_ports_only() -> None:
    policy = AddressPolicy.of(["Wiki.intern"])
    assert _permits(policy, "wiki.INTERN.", 443, "10.0.0.9")
    assert not _permits(policy, "wiki.intern", 8080, "10.0.0.9")
    assert not _permits(policy, "evilwiki.intern", 443, "10.0.0.9")
    assert not _permits(policy, "wiki.intern.evil.org", 443, "10.0.0.9")


def test_a_name_with_a_port_is_allowed_at_that_port_only() -> None:
    policy = AddressPolicy.of(["search.intern:8888"])
    assert _permits(policy, "search.intern", 8888, "10.0.0.9")
    assert not _permits(policy, "search.intern", 443, "10.0.0.9")


def test_a_network_is_allowed_whatever_the_name() -> None:
    policy = AddressPolicy.of(["10.1.0.0/16", "[fd00::/8]:8080"])
    assert _permits(policy, "any.intern", 80, "10.1.2.3")
    assert not _permits(policy, "any.intern", 80, "10.2.2.3")
    assert _permits(policy, "any.intern", 8080, "fd00::5")
    assert not _permits(policy, "any.intern", 80, "fd00::5")


@pytest.mark.parametrize(
    "entry", ["", "a b", "http://x", "x:0", "x:99999", "10.0.0.0/99", "x/y", "*"]
)
def test_an_entry_that_cannot_be_read_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInput, match="no host and no network"):
        AddressPolicy.of([entry])
