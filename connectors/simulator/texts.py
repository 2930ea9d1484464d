"""Numbers as text: the shortest form that reads back as the same number, without `.0`."""

from __future__ import annotations

import pyarrow as pa

PLAIN_FROM = 1e-4
PLAIN_BELOW = 1e9
"""Between these Python's shortest form and Arrow's are alike; outside Arrow decides where exponents begin."""


def number_text(value: float) -> str:
    """`12`, `12.5`; what a cast of double to string in Arrow gives, integral ones without `.0`."""
    if isinstance(value, int):
        return str(value)
    if value == 0 or PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        return repr(value).removesuffix(".0")
    return str(pa.scalar(value, pa.float64()).cast(pa.string()).as_py()).removesuffix(".0")
