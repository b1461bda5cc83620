from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from collab_core.tools.fetch import AddressPolicy, FetchFailed
from collab_core.tools.fetch.urls import MAX_URL_CHARS, checked_url, followed_url

POLICY = AddressPolicy()

REFUSED = [
    "",
    "example.org/page",
    "//example.org/",
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript:alert(1)",
    "data:text/html,x",
    "http:///path",
    "http://",
    "http://user@example.org/",
    "http://user:pass@example.org/",
    "http://:@example.org/",
    "http://@example.org/",
    "http://example.org@127.0.0.1/",
    "http://127.0.0.1\\@example.org/",
    "http:\\\\127.0.0.1/",
    "http://example.org\\.evil.org/",
    "http://example.org/\r\nHost: evil",
    "http://example.org/\x00",
    "http://exa\tmple.org/",
    "http://example.org/a b",
    "http://example.org/\u200b",
    "http://example.org:22/",
    "http://example.org:6379/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:80:80/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://127.0.0.1.2/",
    "http://127%2e0%2e0%2e1/",
    "http://example%00.org/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://exa mple.org/",
    "http://-/",
    "http://.example.org/",
    "http://" + "a" * 260 + ".org/",
    "https://example.org/?q=" + "x" * MAX_URL_CHARS,
]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_a_doubtful_address_is_refused(text: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        checked_url(text, POLICY)
    assert failed.value.kind == "refused_url"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("https://example.org", "https://example.org"),
        (" HTTPS://Example.ORG/a?b=c#d ", "https://example.org/a?b=c"),
        ("http://bücher.example/ü?q=ß", "http://xn--bcher-kva.example/%C3%BC?q=%C3%9F"),
        ("http://a_b.example.org:80/", "http://a_b.example.org/"),
        ("http://93.184.216.34/", "http://93.184.216.34/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/"),
    ],
)
def test_an_ordinary_address_is_kept(text: str, seen: str) -> None:
    assert str(checked_url(text, POLICY)) == seen


def test_a_private_literal_passes_the_form_but_not_the_policy() -> None:
    """Written in full-width digits it is the same address: what is connected to is what counts."""
    assert checked_url("http://１２７。0.0.1/", POLICY).raw_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("/other", "https://example.org/other"),
        ("//cdn.example.org/x", "https://cdn.example.org/x"),
        ("?page=2", "https://example.org/a/b?page=2"),
        ("http://example.org/", "http://example.org/"),
    ],
)
def test_a_redirect_is_read_against_its_page(location: str, seen: str) -> None:
    assert str(followed_url(URL("https://example.org/a/b"), location, POLICY)) == seen


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "//user@example.org/", "http://2130706433/", "\\\\127.0.0.1\\x",
     "https://example.org:22/", "/" + "x" * MAX_URL_CHARS],
)  # fmt: skip
def test_a_redirect_is_checked_like_any_address(location: str) -> None:
    with pytest.raises(FetchFailed):
        followed_url(URL("https://example.org/a/b"), location, POLICY)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for made in (text, f"http://{text}", f"https://{text}/x"):
        try:
            url = checked_url(made, POLICY)
        except FetchFailed:
            continue
        assert url.scheme in ("http", "https")
        assert url.raw_host
        assert url.raw_user is None
        assert url.port in (80, 443)
