"""`cdc diff --to org`: the journal at a time against the org as it is now."""

from __future__ import annotations

from cdc.cli.ask import asking
from cdc.cli.render import Format
from cdc.cli.show import write_answer
from cdc.roles.live_org import differences_from_org
from cdc.settings import Settings

MATCHED_ROWS = 10_000


def diff_with_org(
    settings: Settings,
    form: Format,
    output: str | None,
    strict: bool,
    entity: str,
    ids: tuple[str, ...],
    at: str | None,
    before: str | None,
    where: str | None,
) -> None:
    """Records named, or that meet a condition at the moment, or all of the entity. Errors: as `diff`, and the org's."""
    with asking(settings) as way:
        if where is not None or ids:
            found = way.answer(
                "state",
                entity=entity,
                ids=list(ids) or None,
                where=where,
                at=at,
                before=before,
                limit=MATCHED_ROWS,
            )
            of = found["columns"].index("record_id")
            ids = tuple(row[of] for row in found["rows"])
        answer = differences_from_org(settings, way.answer, entity, ids, at=at, before=before)
    write_answer(answer, form, output, strict=strict)
