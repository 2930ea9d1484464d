"""One text for one value, wherever it was read: from an event's columns, a query's JSON or a bulk job's CSV.

Numbers in shortest round-trip form, `true` and `false`, `2026-11-23T10:02:00.000Z`, `2026-11-23`,
`10:02:00.000Z`; everything else as sent. The column casts of `cdc/avro/texts.py` give the same texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

DAY_MS = 86_400_000

DATETIME_MS_MIN: Final = -62_135_596_800_000
"""0001-01-01T00:00:00.000Z; a moment outside the years 1 to 9999 has no date, and stays a number."""

DATETIME_MS_MAX: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""

_PLAIN_EXPONENTS = range(-6, 10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def canonical_text(value: object, type_: str) -> str | None:
    """The text of a value as a query gave it; `type_` is the describe type (`double`, `datetime`, `picklist` …).

    Takes what JSON gives and also the texts of CSV (`"1.50"`, `"TRUE"`). None stays None. ValueError when
    the value is not of the type, or is not scalar.
    """
    if value is None:
        return None
    rule = _RULES.get(type_)
    try:
        return rule(value) if rule else _plain_text(value)
    except (TypeError, ValueError, OverflowError) as e:
        raise ValueError(f"{value!r} is not a {type_}") from e


def double_text(value: float) -> str:
    """The fewest digits that read back as the same number: `12`, `12.5`, `1.25e+10`."""
    size = abs(value)
    if 1e-4 <= size < 1e10:
        return str(int(value)) if value.is_integer() else repr(value)
    if size == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if not math.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    return ("-" if value < 0 else "") + _digits_text(repr(size))


def boolean_text(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def datetime_text(epoch_ms: int) -> str:
    """`2026-11-23T10:02:00.000Z` of epoch milliseconds."""
    if not DATETIME_MS_MIN <= epoch_ms <= DATETIME_MS_MAX:
        return str(epoch_ms)
    moment = _EPOCH + timedelta(milliseconds=epoch_ms)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def date_text(epoch_ms: int) -> str:
    """`2026-11-23` of the epoch milliseconds of any moment of that day, UTC."""
    if not DATETIME_MS_MIN <= epoch_ms <= DATETIME_MS_MAX:
        return str(epoch_ms)
    return date.fromordinal(_EPOCH_DAY + epoch_ms // DAY_MS).isoformat()


def time_text(day_ms: int) -> str:
    """`10:02:00.000Z` of milliseconds since midnight."""
    if not 0 <= day_ms < DAY_MS:
        return str(day_ms)
    seconds, ms = divmod(day_ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}.{ms:03}Z"


def _digits_text(shortest: str) -> str:
    mantissa, _, exponent = shortest.partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    leading = len(digits) - len(digits.lstrip("0"))
    digits, point = digits.strip("0"), point - leading
    if point - 1 not in _PLAIN_EXPONENTS:
        rest = "." + digits[1:] if len(digits) > 1 else ""
        return f"{digits[0]}{rest}e{point - 1:+d}"
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def _double(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    return double_text(float(value))


def _integer(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and "." not in value and "e" not in value.lower():
        return str(int(value))
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return str(int(number))


def _boolean(value: object) -> str:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower()
    if not isinstance(value, bool):
        raise TypeError
    return boolean_text(value)


def _datetime(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime_text(value)
    if not isinstance(value, str):
        raise TypeError
    moment = datetime.fromisoformat(value)
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return datetime_text((utc - _EPOCH) // timedelta(milliseconds=1))


def _date(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return date_text(value)
    if not isinstance(value, str):
        raise TypeError
    return date.fromisoformat(value).isoformat()


def _time(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return time_text(value)
    if not isinstance(value, str):
        raise TypeError
    clock = time.fromisoformat(value)
    seconds = (clock.hour * 60 + clock.minute) * 60 + clock.second
    return time_text(seconds * 1000 + clock.microsecond // 1000)


def _plain_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return boolean_text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return double_text(value)
    raise TypeError


_RULES: dict[str, Callable[[object], str]] = {
    "double": _double,
    "currency": _double,
    "percent": _double,
    "int": _integer,
    "integer": _integer,
    "long": _integer,
    "boolean": _boolean,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
}
