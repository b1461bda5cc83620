"""Cells of a CSV file that people open in a spreadsheet."""

from __future__ import annotations

_FORMULA_STARTS = frozenset("=+-@＝＋－＠")
_BLANK_STARTS = frozenset("\t\r\n")


def cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = value.replace("\x00", "\ufffd")
    risky = text[:1] in _BLANK_STARTS or text.lstrip()[:1] in _FORMULA_STARTS
    return "'" + text if risky else text
