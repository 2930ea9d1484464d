"""What a table leaves to the other forms of an answer."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from cdc.cli import show
from cdc.cli.render import Format
from cdc.cli.show import READ_FIELDS_MIN

UNKNOWN = {"value": None, "known": False}


class _Journal:
    """Answers every question with one history."""

    def __init__(self, rows: list[list[Any]]) -> None:
        self._rows = rows

    def answer(self, _: str, **__: Any) -> dict[str, Any]:
        columns = ["seq", "kind", "source", "fields"]
        return {"columns": columns, "rows": self._rows, "complete": True, "reasons": [], "notes": []}


def _told(form: Format, kind: str, fields: dict[str, Any]) -> str:
    out = StringIO()
    way: Any = _Journal([[7, kind, "reread", fields]])
    show._as_text(way, "history", form, out, {}, False, False, ("source",))
    return out.getvalue()


def _first(count: int) -> dict[str, Any]:
    return {f"Field{i}": {"before": UNKNOWN, "after": "x"} for i in range(count)}


def test_a_table_counts_what_a_reading_was_the_first_to_tell_and_shows_what_it_found_changed() -> None:
    fields = {**_first(30), "StageName": {"before": "New", "after": "Won"}}
    table = _told(Format.TABLE, "REREAD", fields)
    assert "StageName: New → Won" in table
    assert "30 fields read for the first time" in table
    assert "Field7" not in table


def test_a_change_and_a_small_reading_are_shown_whole() -> None:
    assert "Field7" in _told(Format.TABLE, "UPDATE", _first(30))
    assert "Field0: unknown → x" in _told(Format.TABLE, "BASELINE", _first(READ_FIELDS_MIN - 1))


def test_json_has_every_field_of_a_reading() -> None:
    rows = json.loads(_told(Format.JSON, "BASELINE", _first(30)))["rows"]
    assert len(rows[0]["fields"]) == 30
