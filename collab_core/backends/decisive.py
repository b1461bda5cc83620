"""Where a reply becomes a decision: the first token after the fixed tags.

An agent's reply begins with a tag or a phrase that every reply begins with, so the margin of its first
token says nothing. What it decides is the tool's name or the answer.

Source: margin sampling (arXiv 2405.02134) adapted to agents; which token counts is our design:
``docs/strategies/margin.md``.
"""

from __future__ import annotations

from bisect import bisect_right

from collab_core.backends.chunks import TokenLogprob, margin_of

_CALL, _ANSWER = "<tool_call>", "<answer>"
_BLOCK_ENDS = ("</think>", "</progress>")


class TokenTrail:
    """The generated tokens of one reply with their candidates, in order."""

    def __init__(self) -> None:
        self._tokens: list[TokenLogprob] = []

    def add(self, token: TokenLogprob) -> None:
        self._tokens.append(token)

    def margin(self, *, text: str, call_name: str) -> float | None:
        """Return p(top-1) - p(top-2) of the deciding token, 0..1.

        ``text`` is the visible text, ``call_name`` the tool of a call that the server has parsed, ""
        without one. None = the server told nothing of that token.
        """
        raw = "".join(token.token for token in self._tokens)
        at = decisive_offset(raw, text=text, call_name=call_name)
        if at is None:
            return None
        starts, length = [], 0
        for token in self._tokens:
            starts.append(length)
            length += len(token.token)
        return margin_of(self._tokens[bisect_right(starts, at) - 1])


def decisive_offset(raw: str, *, text: str = "", call_name: str = "") -> int | None:
    """Return the place in the generated text where the tool's name or the answer begins.

    A call wins over an answer, and the last answer over earlier ones, as when the turn is read. Linear
    time.

    >>> decisive_offset('hm <tool_call>{"name": "read"}')
    24
    >>> decisive_offset("so <answer> Paris</answer>")
    12
    >>> decisive_offset("<think>x</think> Paris")
    17
    """
    start = raw.find(_CALL)
    if start >= 0:
        return _name_in(raw, start + len(_CALL), call_name)
    if call_name:
        return _found(raw, call_name, _end_of(text, raw))
    start = raw.rfind(_ANSWER)
    start = _past_blocks(raw) if start < 0 else start + len(_ANSWER)
    return _past_space(raw, start)


def _name_in(raw: str, start: int, call_name: str) -> int | None:
    if call_name:
        return _found(raw, call_name, start)
    key = raw.find('"name"', start)
    colon = raw.find(":", key + len('"name"')) if key >= 0 else -1
    quote = raw.find('"', colon) if colon >= 0 else -1
    return quote + 1 if 0 <= quote < len(raw) - 1 else None


def _found(raw: str, name: str, start: int) -> int | None:
    at = raw.find(name, start)
    return at if at >= 0 else None


def _end_of(text: str, raw: str) -> int:
    """Return where the visible text ends: a call comes after it, whatever words it uses."""
    said = text.strip()
    start = raw.rfind(said) if said else -1
    return start + len(said) if start >= 0 else 0


def _past_blocks(raw: str) -> int:
    """Return the end of the thought and the progress block that stand before a plain answer."""
    return max((raw.rfind(end) + len(end) for end in _BLOCK_ENDS if end in raw), default=0)


def _past_space(raw: str, start: int) -> int | None:
    rest = raw[start:]
    at = start + len(rest) - len(rest.lstrip())
    return at if at < len(raw) else None
