from __future__ import annotations

import pytest

from collab_core.errors import InvalidInput
from collab_core.learned.pricing import price_by_scale, scaling_exponent


def test_the_exponent_and_the_price_of_appendix_c() -> None:
    # ln(.88 / .18) / ln(70 / 8) = 0.7316
    assert scaling_exponent(0.88, 70, 0.18, 8) == pytest.approx(0.7316, abs=1e-3)
    # 0.30 * (3 / 7) ** 0.73 = 0.1616, printed as 0.16 in Table 4
    assert price_by_scale(0.30, 7, 3) == pytest.approx(0.1616, abs=1e-4)


@pytest.mark.parametrize("numbers", [(0.0, 7, 3), (0.3, -7, 3), (float("nan"), 7, 3)])
def test_prices_and_sizes_must_be_positive(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidInput):
        price_by_scale(*numbers)


def test_one_size_gives_no_exponent() -> None:
    with pytest.raises(InvalidInput):
        scaling_exponent(0.88, 8, 0.18, 8)
