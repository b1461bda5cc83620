from __future__ import annotations

import pytest

from collab_core.tools.fetch import FetchFailed
from collab_core.tools.fetch.extract import MAX_TEXT_CHARS, Extractor, extract, usable_charset


@pytest.fixture
def extractor() -> Extractor:
    return Extractor()


async def test_a_page_gives_its_title_and_visible_text(extractor: Extractor) -> None:
    html = (
        "<html><head><title> The  Bridge </title><style>p{}</style><script>alert(1)</script></head>"
        "<body><h1>Bridge</h1><!-- hidden --><p>Built in <b>1912</b>.</p><p>By Ada.</p></body>"
    )
    got = await extractor.text_of(html.encode(), html=True)
    assert (got.title, got.text) == ("The Bridge", "Bridge\n\nBuilt in 1912.\n\nBy Ada.")


async def test_plain_text_stays_as_it_is(extractor: Extractor) -> None:
    got = await extractor.text_of(b"a <b> c\n\nd", html=False)
    assert got.text == "a <b> c\n\nd"


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251", "koi8-r", "utf-16", "iso-8859-5"])
def test_the_servers_charset_is_used(charset: str) -> None:
    assert extract("мост".encode(charset), html=False, charset=charset).text == "мост"


def test_the_pages_own_charset_is_used_where_the_server_names_none() -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><p>橋</p>'
    assert extract(page.encode("shift_jis"), html=True, charset="").text == "橋"
    page = "<meta charset=big5><p>橋</p>"
    assert extract(page.encode("big5"), html=True, charset="").text == "橋"


@pytest.mark.parametrize(
    "name",
    ["unicode_escape", "raw_unicode_escape", "punycode", "idna", "utf-7", "rot13", "zlib", "hex",
     "base64", "mbcs", "\x00", "../x", "x" * 9_000, "undefined"],
)  # fmt: skip
def test_a_codec_that_no_page_uses_is_not_used(name: str) -> None:
    assert usable_charset(name) == ""
    assert extract(b"plain", html=False, charset=name).text == "plain"


HOSTILE = {
    "nested": b"<div>" * 100_000 + b"x",
    "tables": b"<table><tr><td>" * 60_000 + b"x",
    "attributes": b"<a " + b"x=y " * 400_000 + b">x",
    "entities": b"&amp;" * 300_000,
    "doctype": b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><p>&c;</p>',
    "external": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>a&x;b</p>',
    "no end": b"<title>" * 200_000,
    "nul": b"<p>a\x00b</p>",
    "bad bytes": bytes(range(128, 256)) * 100,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_page_is_read_within_its_bounds(extractor: Extractor, body: bytes) -> None:
    got = await extractor.text_of(body, html=True)
    assert len(got.text) <= MAX_TEXT_CHARS
    assert "root:" not in got.text
    assert "\x00" not in got.text


async def test_a_very_long_text_is_cut_and_says_so(extractor: Extractor) -> None:
    got = await extractor.text_of("ü".encode() * (MAX_TEXT_CHARS + 5), html=False)
    assert (len(got.text), got.cut) == (MAX_TEXT_CHARS, True)


async def test_a_page_that_takes_too_long_is_given_up() -> None:
    slow = Extractor(wall_s=0.01)
    with pytest.raises(FetchFailed, match="too tangled"):
        await slow.text_of(b"<p>x</p>", html=True)
