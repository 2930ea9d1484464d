"""The live org read for a comparison with the journal: `cdc diff ENTITY --from T --to org`.

Records named are read by id; without, the whole entity is queried, and what the journal has and the query did not
find is asked for at the end. The journal is asked for the states of each page of rows, so that nothing large is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from cdc.answer.against_org import COLUMNS, against_rows
from cdc.answer.answers import Answer, instant
from cdc.capture.scan import query_fields
from cdc.errors import BadArgument
from cdc.metrics import Metrics
from cdc.ports.org import EntityDescription, Org, Page, RowState
from cdc.ports.types import RecordId
from cdc.roles.build import make_org, make_session
from cdc.settings import Settings
from connectors.salesforce.query import READ_IDS_MAX

DIFFERENCES_MAX = 100_000
STATES_PER_PAGE = 2_000

Ask = Callable[..., dict[str, Any]]
"""`ask(name, **parameters)` of the journal's questions."""


def differences_from_org(
    settings: Settings, ask: Ask, entity: str, ids: Sequence[str], **moment: Any
) -> Answer:
    """Differences between the journal at a moment (`at`, `before`; neither: now) and the org as it is.

    Errors: those of the org and of the question; BadArgument where there are too many differences to hold.
    """
    return asyncio.run(_compared(settings, ask, entity, ids, moment))


async def _compared(
    settings: Settings, ask: Ask, entity: str, ids: Sequence[str], moment: dict[str, Any]
) -> Answer:
    async with make_session(settings.salesforce) as session:
        org = make_org(settings.salesforce, session, Metrics())
        description = await org.describe(entity)
        reading = _Reading(ask, description, {k: v for k, v in moment.items() if v is not None})
        if ids:
            await reading.named(org, ids)
        else:
            await reading.whole(org)
    return reading.answer()


class _Reading:
    def __init__(self, ask: Ask, description: EntityDescription, moment: dict[str, Any]) -> None:
        self.ask, self.description, self.moment = ask, description, moment
        self.rows: list[tuple[Any, ...]] = []
        self.reasons: dict[str, None] = {}
        self.read_at = 0
        self.compared = 0

    async def named(self, org: Org, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), READ_IDS_MAX):
            some = [RecordId(i) for i in ids[first : first + READ_IDS_MAX]]
            page = await org.read(self.description.entity, some, query_fields(self.description))
            self._take(org, page, some)

    async def whole(self, org: Org) -> None:
        seen: set[str] = set()
        async for page in self._pages(org):
            found = [str(row["Id"]) for row in page.rows]
            seen.update(found)
            self._take(org, page, found)
        cursor = None
        while True:
            answer = self.ask(
                "state", entity=self.description.entity, limit=10_000, cursor=cursor, **self.moment
            )
            at = answer["columns"].index("record_id")
            await self.named(org, [row[at] for row in answer["rows"] if row[at] not in seen])
            if (cursor := answer.get("next")) is None:
                return

    async def _pages(self, org: Org) -> AsyncIterator[Page]:
        soql = (
            f"SELECT {', '.join(query_fields(self.description))} FROM {self.description.entity} ORDER BY Id"
        )
        async for page in org.query(soql, deleted=True):
            yield page

    def _take(self, org: Org, page: Page, asked: Sequence[str]) -> None:
        self.read_at = max(self.read_at, page.org_time)
        rows: dict[str, RowState] = {}
        for row in page.rows:
            state = org.row_state(self.description, row)
            rows[state.record_id] = state
        for first in range(0, len(asked), STATES_PER_PAGE):
            some = list(asked[first : first + STATES_PER_PAGE])
            answer = self.ask("states", entity=self.description.entity, ids=some, **self.moment)
            states = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
            self.rows += against_rows(states, rows, some)
            self.reasons |= dict.fromkeys(answer["reasons"])
            self.compared += len(some)
        if len(self.rows) > DIFFERENCES_MAX:
            raise BadArgument(
                f"there are more than {DIFFERENCES_MAX} differences",
                where=self.description.entity,
                do="name records",
            )

    def answer(self) -> Answer:
        from datetime import UTC, datetime

        read_at = instant(datetime.fromtimestamp(self.read_at / 1000, UTC)) if self.read_at else "now"
        return Answer(
            columns=COLUMNS,
            rows=self.rows,
            complete=not self.reasons,
            reasons=list(self.reasons),
            notes=[
                f"{len(self.rows)} differences in {self.compared} records compared with the org as read at {read_at}; "
                "what changes while it is read may show as a difference"
            ],
        )
