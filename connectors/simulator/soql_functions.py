"""Functions of one field in SOQL: parts of a date, and values written for a person to read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from connectors.simulator.errors import OrgError
from connectors.simulator.rows import utc
from connectors.simulator.soql_conditions import Resolve, Resolved

FOR_READING = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY"})
"""Functions that rows of records may have; a function of a date needs a grouped query."""

DAYS_OF_WEEK = 7
MONTHS_OF_QUARTER = 3

_OF_DATE: dict[str, Callable[[datetime], int]] = {
    "CALENDAR_YEAR": lambda at: at.year,
    "CALENDAR_QUARTER": lambda at: (at.month - 1) // MONTHS_OF_QUARTER + 1,
    "CALENDAR_MONTH": lambda at: at.month,
    "FISCAL_YEAR": lambda at: at.year,  # the fiscal year of this org begins in January
    "FISCAL_QUARTER": lambda at: (at.month - 1) // MONTHS_OF_QUARTER + 1,
    "FISCAL_MONTH": lambda at: at.month,
    "DAY_IN_MONTH": lambda at: at.day,
    "DAY_IN_WEEK": lambda at: at.isoweekday() % DAYS_OF_WEEK + 1,  # 1 is Sunday
    "DAY_IN_YEAR": lambda at: at.timetuple().tm_yday,
    "WEEK_IN_MONTH": lambda at: (at.day - 1) // DAYS_OF_WEEK + 1,
    "WEEK_IN_YEAR": lambda at: (at.timetuple().tm_yday - 1) // DAYS_OF_WEEK + 1,
}


def function_of(name: str, resolve: Resolve) -> Resolved:
    """`CALENDAR_MONTH(CloseDate)`, as the parser writes it, looked up. Raises MALFORMED_QUERY, INVALID_FIELD."""
    function, _, rest = name.partition("(")
    inner = rest.removesuffix(")")
    if function == "CONVERTTIMEZONE":
        return resolve(inner)  # the simulated users live in UTC
    if function in FOR_READING:
        field = resolve(inner)
        if function == "FORMAT":
            return Resolved(field.name, "string", lambda record: _written(field.described, field.get(record)))
        return field
    if function not in _OF_DATE and function not in ("HOUR_IN_DAY", "DAY_ONLY"):
        raise OrgError("MALFORMED_QUERY", f"unexpected token: '{name}'")
    field = resolve(inner)
    if field.described not in ("datetime",) + (("date",) if function in _OF_DATE else ()):
        raise OrgError("INVALID_FIELD", f"field {inner} does not support function {function}")
    if function == "DAY_ONLY":
        return Resolved(name, "date", field.get)
    part: Callable[[datetime], int] = _OF_DATE.get(function, lambda at: at.hour)

    def value(record: Any) -> int | None:
        at = field.get(record)
        return None if at is None else part(utc(at))

    return Resolved(name, "int", value)


def _written(described: str, value: Any) -> str | None:
    if value is None:
        return None
    if described == "datetime":
        at = utc(value)
        return f"{at.month}/{at.day}/{at.year}, {at.hour % 12 or 12}:{at.minute:02d} {'AM' if at.hour < 12 else 'PM'}"
    if described == "date":
        at = utc(value)
        return f"{at.month}/{at.day}/{at.year}"
    if described == "currency":
        return f"USD {value:,.2f}"
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
