"""A price for a model that has none: the scaling law of OI-MAS.

Source: OI-MAS, appendix C, Eq. 6. It gives comparable figures, not bills.
"""

from __future__ import annotations

import math

from collab_core.errors import InvalidInput


def scaling_exponent(
    price_a: float, parameters_a: float, price_b: float, parameters_b: float
) -> float:
    """Return alpha such that prices grow as parameters ** alpha between the two known models.

    Prices in any one unit, parameters in any one unit.

    >>> round(scaling_exponent(0.88, 70, 0.18, 8), 2)
    0.73

    Raises:
        InvalidInput: a number is not positive, or both models have one size.
    """
    _check_positive(price_a, parameters_a, price_b, parameters_b)
    if parameters_a == parameters_b:
        raise InvalidInput("Two models of one size say nothing about how prices grow with size.")
    return math.log(price_a / price_b) / math.log(parameters_a / parameters_b)


def price_by_scale(
    price_base: float, parameters_base: float, parameters: float, *, alpha: float = 0.73
) -> float:
    """Return Eq. 6: the price of a model from that of a base model of the same family.

    >>> round(price_by_scale(0.30, 7, 3), 2)
    0.16

    Raises:
        InvalidInput: a number is not positive.
    """
    _check_positive(price_base, parameters_base, parameters)
    return float(price_base * (parameters / parameters_base) ** alpha)


def _check_positive(*numbers: float) -> None:
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        raise InvalidInput("Prices and parameter counts must be positive numbers.")
