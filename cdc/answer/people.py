"""What the users in an alert are called: the stream has their ids, the journal has their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cdc.answer.definitions import sql

NAME_FIELDS = ("Name", "Name.FirstName", "Name.LastName", "FirstName", "LastName", "Username")


def names_of(reader: Any, user_ids: Iterable[str | None]) -> dict[str, str]:
    """Name by id, the login name where no other is recorded; users that the journal has not met are left out."""
    wanted = sorted({one for one in user_ids if one})
    if not wanted:
        return {}
    parts: dict[str, dict[str, str]] = {}
    for user_id, field, value in reader.execute(sql("user_names"), {"ids": wanted}).fetchall():
        parts.setdefault(user_id, {})[field] = value
    return {user_id: name for user_id, given in parts.items() if (name := _called(given))}


def with_names(reader: Any, alert: Mapping[str, Any]) -> dict[str, Any]:
    """The alert, its actors with the names they have by now. Nothing in its decision depends on them."""
    names = names_of(reader, (actor["user_id"] for actor in alert["actors"] or []))
    actors = [
        {**actor, "user_name": actor.get("user_name") or names.get(actor["user_id"])}
        for actor in alert["actors"] or []
    ]
    return {**alert, "actors": actors}


def _called(given: Mapping[str, str]) -> str:
    first = given.get("Name.FirstName") or given.get("FirstName") or ""
    last = given.get("Name.LastName") or given.get("LastName") or ""
    return given.get("Name") or f"{first} {last}".strip() or given.get("Username", "")
