"""Canonical text to what the org takes, by the field's described type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.ports.org import EntityDescription

NUMBERS: Final = frozenset({"double", "currency", "percent", "int", "long"})


def written(description: EntityDescription, values: Mapping[str, str | None]) -> dict[str, Any]:
    """Event paths and canonical texts as query names and JSON values. A path nobody described is left out.

    A null boolean does not exist in Salesforce: it is written as false.
    """
    out: dict[str, Any] = {}
    for f in description.fields:
        if f.path in values and not f.is_compound:
            out[f.name] = json_of(f.type, values[f.path])
    return out


def json_of(kind: str, text: str | None) -> Any:
    """One value. Dates and times are texts in JSON too."""
    if kind == "boolean":
        return text == "true"
    if text is None:
        return None
    if kind in NUMBERS:
        number = float(text)
        return int(number) if number.is_integer() else number
    return text
