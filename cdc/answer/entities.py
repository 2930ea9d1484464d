"""Names people give: an entity the journal knows, a record id."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from cdc.answer.definitions import sql
from cdc.change.ids import is_record_id, to_18
from cdc.errors import BadArgument, NotFound

NEAR_NAMES_MAX = 3


def known_entities(reader: Any) -> list[str]:
    """Every entity with a change or a description, in alphabetical order."""
    return [row[0] for row in reader.execute(sql("known_entities")).fetchall()]


def entity_named(reader: Any, name: str) -> str:
    """The entity as the journal writes it; letter case does not matter. Errors: NotFound, with near names."""
    known = {e.lower(): e for e in known_entities(reader)}
    if found := known.get(name.strip().lower()):
        return found
    near = get_close_matches(name.strip().lower(), known, n=NEAR_NAMES_MAX, cutoff=0.5)
    names = [known[n] for n in near] or sorted(known.values())[:NEAR_NAMES_MAX]
    hint = f"did you mean {' or '.join(names)}?" if names else "nothing has been recorded yet"
    raise NotFound("the journal knows no entity of this name", where=name[:80], do=hint)


def record_id_of(text: str) -> str:
    """The 18-character id. Errors: BadArgument."""
    try:
        full = to_18(text.strip())
    except ValueError as error:
        raise BadArgument(
            "this is not a record id", where=text[:40], do="give the 15 or 18 characters of one record"
        ) from error
    if not is_record_id(full):
        raise BadArgument("this id names no single record", where=full, do="give a record's own id")
    return full
