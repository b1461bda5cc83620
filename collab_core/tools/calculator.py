"""The tool that calculates: arithmetic only, with every size bounded."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from collab_core.errors import ToolFailed
from collab_core.tools.arguments import only_arguments, text_argument
from collab_core.tools.base import ToolOutcome

Number = int | float
MAX_EXPRESSION_CHARS = 500
MAX_DEPTH = 40
MAX_BITS = 4_096
_USAGE = 'calculator({"expression": "(1987 - 1912) * 2"})'
_SPELLING = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "^": "**"})
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def _round(number: Number, digits: int = 0) -> Number:
    """Round half to even; digits beyond 100 would make huge powers of ten."""
    if abs(digits) > 100:
        raise ToolFailed("round takes at most 100 digits.")
    return round(number, digits) if digits else round(number)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": _round,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "floor": math.floor,
    "ceil": math.ceil,
}
_CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e}


class Calculator:
    """Arithmetic on whole and decimal numbers."""

    name = "calculator"
    description = (
        "Calculate an arithmetic expression. Operators + - * / // % ** and parentheses; functions "
        + ", ".join(_FUNCTIONS)
        + "; constants pi, e."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"expression": {"type": "string", "description": "For example (3 + 4) * 2"}},
        "required": ["expression"],
        "additionalProperties": False,
    }

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Return the value as text.

        Raises:
            ToolFailed: the arguments are wrong, or the expression cannot be calculated.
        """
        only_arguments(arguments, ("expression",), usage=_USAGE)
        expression = text_argument(
            arguments, "expression", usage=_USAGE, max_chars=MAX_EXPRESSION_CHARS
        )
        return ToolOutcome(text=str(calculate(expression)))


def calculate(expression: str) -> Number:
    """Return the value of an arithmetic expression.

    Raises:
        ToolFailed: it is not arithmetic, has no value, or grows beyond the bounds.

    >>> calculate("(1987 - 1912) * 2")
    150
    """
    try:
        tree = ast.parse(expression.translate(_SPELLING).strip(), mode="eval")
        value = _value(tree.body, 0)
        if isinstance(value, float) and not math.isfinite(value):
            raise ToolFailed(f"The result is not a finite number. Call it like {_USAGE}.")
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ToolFailed(f"This is not an arithmetic expression. Call it like {_USAGE}.") from error
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ToolFailed(f"This has no value: {error}.") from error
    return value


def _value(node: ast.expr, depth: int) -> Number:
    if depth > MAX_DEPTH:
        raise ToolFailed(f"The expression is nested deeper than {MAX_DEPTH} levels.")
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return _bounded(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _bounded(_UNARY[type(op)](_value(operand, depth + 1)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _binary(op, _value(left, depth + 1), _value(right, depth + 1))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(arg, depth + 1) for arg in args)))
    raise ToolFailed(f"Only numbers and arithmetic are allowed. Call it like {_USAGE}.")


def _binary(op: ast.operator, left: Number, right: Number) -> Number:
    if isinstance(op, ast.Pow):
        bits = left.bit_length() if isinstance(left, int) else 64
        if abs(right) * max(bits, 1) > MAX_BITS:
            raise ToolFailed(f"The power {left} ** {right} is too large to calculate."[:200])
    return _bounded(_BINARY[type(op)](left, right))


def _bounded(value: Any) -> Number:
    if isinstance(value, complex) or not isinstance(value, (int, float)):
        raise ToolFailed("The result is not a real number.")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ToolFailed(f"A number in it has more than {MAX_BITS} bits.")
    return value
