"""An ordinary day of a large org, as the detector takes it: thousands of people, and programs that write in bulk.

Three of five changes are people's, in office hours, one record each; the others are those of twenty programs that
run every quarter of an hour. Each changes two of an entity's eight fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cdc.detect.batch import DetectBatch, Texts

USERS = 3_000
PROGRAMS = 20
ENTITIES = 12
FIELDS = 8
RECORDS = 40_000  # of each entity
ROWS_PER_BATCH = 16_384
BEGIN_MS = 1_788_739_200_000  # a Monday
DAY_MS = 86_400_000
RUN_MS = 15 * 60_000
WITH_ONE_RUN_MS = 40_000
PEOPLE_SHARE = 0.6

_UI = ("com/salesforce/api/soap/66.0", "SfdcInternalAPI/")
_API = ("com/salesforce/api/rest/66.0", "sync/4.1")
I64 = npt.NDArray[np.int64]


def ordinary_day(changes: int, seed: int = 1) -> Iterator[DetectBatch]:
    """So many changes within one day, in order of commit, in batches as the log hands them out."""
    draw = np.random.default_rng(seed)
    people = int(changes * PEOPLE_SHARE)
    at, user, entity, record = (
        np.concatenate(both)
        for both in zip(_of_people(draw, people), _of_programs(draw, changes - people), strict=True)
    )
    order = np.argsort(at, kind="stable")
    at, user, entity, record = at[order], user[order], entity[order], record[order]
    pool = _values(draw)
    for start in range(0, changes, ROWS_PER_BATCH):
        part = slice(start, min(changes, start + ROWS_PER_BATCH))
        yield _batch(draw, start, at[part], user[part], entity[part], record[part], pool)


def _of_people(draw: np.random.Generator, count: int) -> tuple[I64, I64, I64, I64]:
    """Some edit much and most little; each keeps to a few entities."""
    share = 1 / np.arange(1, USERS + 1) ** 0.7
    user = draw.choice(USERS, count, p=share / share.sum())
    at = BEGIN_MS + (draw.beta(2.5, 2.5, count) * 11 * 3_600_000).astype(np.int64) + 7 * 3_600_000
    return at, user, (user + draw.integers(0, 3, count)) % ENTITIES, draw.integers(0, RECORDS, count)


def _of_programs(draw: np.random.Generator, count: int) -> tuple[I64, I64, I64, I64]:
    program = draw.integers(0, PROGRAMS, count)
    run = draw.integers(0, DAY_MS // RUN_MS, count)
    at = BEGIN_MS + run * RUN_MS + draw.integers(0, WITH_ONE_RUN_MS, count)
    return at, USERS + program, program % ENTITIES, draw.integers(0, RECORDS, count)


def _values(draw: np.random.Generator) -> pa.Array:
    """A few of a list, then many that differ."""
    listed = [f"Choice {n}" for n in range(8)]
    return pa.array(listed + [f"{n}.{n % 100:02}" for n in draw.integers(1, 10**7, 100_000).tolist()])


def _batch(
    draw: np.random.Generator, start: int, at: I64, user: I64, entity: I64, record: I64, pool: Any
) -> DetectBatch:
    rows = len(at)
    number = entity * RECORDS + record
    first = draw.integers(0, FIELDS, rows)
    fields = np.stack([first, (first + draw.integers(1, FIELDS, rows)) % FIELDS], axis=1).ravel()
    listed = fields % 2 == 0
    value = np.where(listed, draw.integers(0, 8, 2 * rows), 8 + draw.integers(0, len(pool) - 8, 2 * rows))
    of_program = (user >= USERS).astype(np.int32)
    nothing = np.zeros(rows, np.int32)
    return DetectBatch(
        entity=Texts(entity.astype(np.int32), [f"Thing{n}__c" for n in range(ENTITIES)]),
        kind=Texts(nothing, ["UPDATE"]),
        user=Texts(user.astype(np.int32), [f"005{n:012d}AAA" for n in range(USERS + PROGRAMS)]),
        origin=Texts(of_program, [_UI[0], _API[0]]),
        client=Texts(of_program, [_UI[1], _API[1]]),
        record_id=pa.array([f"a0{n:013d}AAA" for n in number.tolist()]),
        transaction=pa.array([f"t{n}" for n in range(start, start + rows)]),
        committed_at=at,
        ordinal=np.arange(start + 1, start + rows + 1),
        full_state=np.zeros(rows, bool),
        field_row=np.repeat(np.arange(rows), 2),
        field=Texts(
            (np.repeat(entity, 2) * FIELDS + fields).astype(np.int32),
            [f"Field{n % FIELDS}__c" for n in range(ENTITIES * FIELDS)],
        ),
        value=pool.take(pa.array(value)),
        null=np.zeros(2 * rows, bool),
        known=np.ones(2 * rows, bool),
    )
