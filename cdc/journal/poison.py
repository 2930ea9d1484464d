"""A record that the store refuses costs itself only: found in its batch, put aside, and the rest goes in.

The writer knows that a batch failed, not why. What fails in a batch fails in every beginning of it that holds the
cause, so the shortest failing beginning ends with the culprit: found by halves, in transactions that are rolled back.
The batch then goes in with that record among the bad ones, in one transaction, with the checkpoint it always had.

A store that refuses many records of one batch refuses something else than records: then the writing ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.names import change_topic
from cdc.errors import CdcError
from cdc.ports.columns import Bad, ColumnBatch
from cdc.ports.log import Checkpoint, LogRecord
from cdc.ports.types import Ordinal

PUT_ASIDE_MAX: Final = 20
"""Records of one batch; the search for each costs about as much as writing the batch a few times."""

REASON_CHARS_MAX: Final = 300
REFUSED: Final = "the store refuses it: "
"""How the reason begins; what is read later when its schema is told must not be tried again
(`sql/unread_of_schema.sql`)."""

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|'.*|\".*")

_NOT_OF_DATA: Final = (
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.InterruptException,
    duckdb.ConnectionException,
    duckdb.TransactionException,
)
_OF_DATA: Final = (duckdb.Error, pa.ArrowException, ValueError, TypeError, LookupError, ArithmeticError)

Fails = Callable[[ColumnBatch], BaseException | None]
"""What writing a batch raises, with nothing of it kept; None where it would go in."""

Raw = Callable[[Checkpoint, Ordinal], LogRecord | None]
"""The log's record of a number, which lies behind a checkpoint."""


def may_be_of_data(error: BaseException | None) -> bool:
    """Whether leaving a record out could help."""
    return isinstance(error, _OF_DATA) and not isinstance(error, (*_NOT_OF_DATA, CdcError, MemoryError))


def without_poison(
    batch: ColumnBatch, held: Checkpoint, fails: Fails, raw: Raw
) -> tuple[ColumnBatch, list[Bad]]:
    """The batch with what the store refuses put aside, and what that is. Nothing is put aside where that does not
    help: the batch is then what it was, and fails as it did."""
    found: list[Bad] = []
    now = batch
    while (error := fails(now)) is not None:
        if not may_be_of_data(error) or len(found) == PUT_ASIDE_MAX:
            return batch, []
        culprit = _culprit(now, held, fails)
        if culprit is None:
            return batch, []
        reason = f"{REFUSED}{_first_line(error)}"
        if isinstance(culprit, LogRecord):
            found.append(Bad(culprit, reason))
            control = [record for record in now.control if record is not culprit]
            now = replace(now, control=control, refused=[*now.refused, found[-1]])
        else:
            found.append(_put_aside(now, culprit, reason, raw(held, culprit)))
            bad = sorted([*now.bad, found[-1]], key=lambda one: one.record.ordinal)
            now = replace(_only(now, partial(np.not_equal, culprit)), bad=bad)
    return now, found


def _culprit(batch: ColumnBatch, held: Checkpoint, fails: Fails) -> Ordinal | LogRecord | None:
    """The number, or the control record, without which the shortest failing beginning goes in."""
    numbers = _numbers(batch, held.ordinal)
    ends = [int(held.ordinal), *numbers]
    if fails(beginning(batch, held, ends[0], with_control=False)) is not None:
        return None
    good, bad = 0, len(ends) - 1
    if fails(beginning(batch, held, ends[-1])) is None:
        return None  # it goes in: what failed has passed
    while good < bad:
        middle = (good + bad) // 2
        if fails(beginning(batch, held, ends[middle])) is not None:
            bad = middle
        else:
            good = middle + 1
    passed = ends[bad - 1] if bad else -1
    before = [r for r in batch.control if r.ordinal <= passed]
    here = [r for r in batch.control if passed < r.ordinal <= ends[bad]]
    for many in range(len(here) + 1):
        if fails(beginning(batch, held, ends[bad], control=[*before, *here[:many]])) is not None:
            return here[many - 1] if many else Ordinal(ends[bad])
    return None


def beginning(
    batch: ColumnBatch,
    held: Checkpoint,
    end: int,
    *,
    with_control: bool = True,
    control: Sequence[LogRecord] | None = None,
) -> ColumnBatch:
    """The batch up to a number, with the control records that stand there."""
    if control is None:
        control = [r for r in batch.control if r.ordinal <= end] if with_control else ()
    missing = batch.missing if batch.missing is not None and end >= batch.missing[1] else None
    cut = _only(batch, lambda ordinals: ordinals <= end)
    return replace(
        cut,
        control=list(control),
        bad=[one for one in batch.bad if one.record.ordinal <= end],
        checkpoint=Checkpoint(batch.checkpoint.offsets, Ordinal(max(end, held.ordinal))),
        missing=missing,
        elsewhere=None if batch.elsewhere is None else batch.elsewhere.only(lambda ordinals: ordinals <= end),
    )


def _numbers(batch: ColumnBatch, held: Ordinal) -> list[int]:
    """What lies behind the checkpoint, ascending; what is bad already has been put aside."""
    all_numbers = np.concatenate(
        [batch.changes["ordinal"].to_numpy(), batch.platform_events["ordinal"].to_numpy()]
    )
    last = {int(batch.checkpoint.ordinal)}
    return sorted({int(n) for n in all_numbers if n > held} | {n for n in last if n > held})


def _only(batch: ColumnBatch, wanted: Callable[[Any], Any]) -> ColumnBatch:
    """The changes and platform events whose numbers are wanted; field rows are numbered anew."""
    chosen = wanted(batch.changes["ordinal"].to_numpy())
    places = np.cumsum(chosen) - 1
    row = batch.fields["row"].to_numpy()
    fields = batch.fields.filter(pa.array(chosen[row]))
    at = fields.schema.get_field_index("row")
    kept = places[row[chosen[row]]]
    events = batch.platform_events
    return replace(
        batch,
        changes=batch.changes.filter(pa.array(chosen)),
        fields=fields.set_column(at, fields.schema.field(at), pa.array(kept.astype(np.int64))),
        platform_events=events.filter(pa.array(wanted(events["ordinal"].to_numpy()))),
    )


def _put_aside(batch: ColumnBatch, ordinal: Ordinal, reason: str, raw: LogRecord | None) -> Bad:
    """As one that could not be read: with its bytes where the log still has them, and whom it concerns."""
    for table, is_change in ((batch.changes, True), (batch.platform_events, False)):
        rows = table.filter(pc.equal(table["ordinal"], ordinal)).to_pylist()
        if rows:
            row = rows[0]
            entity = str(row["entity"]) if is_change else ""
            record = raw or LogRecord(
                change_topic(entity) if is_change else str(row["name"]),
                str(row["record_id"] if is_change else row["event_id"] or ""),
                b"",
                ordinal,
                int((row["committed_at"] if is_change else row["created_at"]) or 0),
                row["channel"] or "",
                row["event_id"] or "",
                (row["replay_id"] or b"").hex(),
                row["schema_id"] or "",
                appended_at=int(row["received_at"] or 0),
            )
            return Bad(record, reason, entity, (str(row["record_id"]),) if is_change else ())
    return Bad(raw or LogRecord("quarantine", "", b"", ordinal), reason)


def _first_line(error: BaseException) -> str:
    """What the store said, without the values it quotes: a reason is read by people who may not see them."""
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {_QUOTED.sub('…', said)}"[:REASON_CHARS_MAX]
