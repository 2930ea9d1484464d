"""Schemas that events were put aside for: asked for again, until the event service knows them.

The journal requests each (`jobs`, kind `schema`, the id in place of a record's). The request stays open until
the schema is in the log; from then on its events are recorded as all others, and the journal reads those it
has put aside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.avro.schema import EventSchema
from cdc.capture.backoff import Backoff
from cdc.capture.jobs import ENDED, SCHEMA, Job
from cdc.capture.records import KnownSchema
from cdc.capture.writer import Control, Item
from cdc.errors import ChannelStopped, RetryLater, Undecodable
from cdc.logs import Event
from cdc.ports.clock import Clock
from cdc.ports.log import LogRecord
from cdc.ports.types import SchemaId

LOOK_EVERY_S = 1.0
FIRST_PAUSE_S = 5.0
PAUSE_MAX_S = 900.0
"""A schema the service does not know now is most often one of a deployment that is under way."""


@dataclass(slots=True)
class Relearner:
    """`ask` gives a schema's text by its id; `known` is what the writer goes by; `jobs` those in the log."""

    ask: Callable[[SchemaId], Awaitable[str]]
    put: Callable[[Item], Awaitable[None]]
    known: MutableMapping[str, KnownSchema | str]
    jobs: MutableMapping[str, Job]
    clock: Clock
    logger: Any
    framed: Callable[[EventSchema], Awaitable[KnownSchema]]
    _due_s: dict[str, float] = field(default_factory=dict)
    _pauses: dict[str, Backoff] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            for job in [j for j in self.jobs.values() if j.kind == SCHEMA and j.open and j.record_ids]:
                if self._due_s.get(job.job_id, 0.0) <= self.clock.monotonic_s():
                    await self.learn(job)
            await self.clock.sleep(LOOK_EVERY_S)

    async def learn(self, job: Job) -> None:
        """One attempt; a failure only makes the pause before the next one longer."""
        schema_id = SchemaId(job.record_ids[0])
        try:
            text = await self.ask(schema_id)
            known = await self.framed(EventSchema.parse(schema_id, text))
        except (Undecodable, ChannelStopped, RetryLater) as error:
            pauses = self._pauses.setdefault(job.job_id, Backoff(first_s=FIRST_PAUSE_S, max_s=PAUSE_MAX_S))
            pause_s = pauses.pause_s(error.retry_after_s if isinstance(error, RetryLater) else None)
            self._due_s[job.job_id] = self.clock.monotonic_s() + pause_s
            self.logger.warning(Event.SCHEMA_UNKNOWN, schema=schema_id, error=error.sentence())
            return
        ended = replace(job, state=ENDED)
        record = LogRecord("schemas", schema_id, text.encode(), schema_id=schema_id)
        await self.put(Control((record, ended.to_record())))
        self.known[schema_id] = known
        self.jobs[job.job_id] = ended
