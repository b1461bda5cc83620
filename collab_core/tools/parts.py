"""The parts a long document is read in."""

from __future__ import annotations

PART_CHARS = 6_000
_BREAKS = ("\n\n", "\n", ". ", "。", " ")


def part_starts(text: str, *, chars: int = PART_CHARS) -> list[int]:
    """Return where each part begins, ascending from 0; a part ends where a paragraph or word ends."""
    starts = [0]
    while len(text) - starts[-1] > chars:
        start = starts[-1]
        end = start + chars
        for mark in _BREAKS:
            found = text.rfind(mark, start + chars // 2, end)
            if found >= 0:
                end = found + len(mark)
                break
        starts.append(end)
    return starts


def split_parts(text: str, *, chars: int = PART_CHARS) -> list[str]:
    """Return the text in parts of at most ``chars`` characters, without space at their ends."""
    starts = part_starts(text, chars=chars)
    ends = [*starts[1:], len(text)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def part_label(part: int, parts: int) -> str:
    """Return what follows a document's title: " (part 2 of 9)", "" for a document of one part."""
    return f" (part {part} of {parts})" if parts > 1 else ""
