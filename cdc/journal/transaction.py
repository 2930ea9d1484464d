"""One batch of the log inside a transaction: every row it means, and how far the log is held with it.

The order of the steps is the order in which they need each other: what fields there are, the changes, what
they hide or repair, then the control records in their place. Everything is decided by ordinals and by nothing
else, so that the rows are the same however the log is cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from cdc.change.kinds import Kind
from cdc.journal.alerts import write_alerts, write_decisions
from cdc.journal.control import Control, SchemaText, Told, read_control
from cdc.journal.coverage import Stretches
from cdc.journal.elsewhere import ElsewhereRows
from cdc.journal.late import Late
from cdc.journal.needs import Need, write_needs
from cdc.journal.ordinals import next_ordinal_held
from cdc.journal.origin import claim_origin
from cdc.journal.quarantine import QUARANTINE_TOPIC, Unread, unread, write_quarantine
from cdc.journal.recovery import write_recovery
from cdc.journal.rows import GAP_NAMES, NO_CHANNEL, Rows, field_table, new_rows
from cdc.journal.scans import Scans
from cdc.journal.schemas import Schemas
from cdc.journal.setup import write_setup
from cdc.journal.state import ChannelState, Held, save
from cdc.journal.statements import statement
from cdc.journal.tables import registered
from cdc.journal.texts import Diff, whole_texts
from cdc.journal.unstreamed import without_unstreamed
from cdc.ports.columns import ColumnBatch


class BatchWriter:
    """Writes batches for one connection. The caller begins and ends the transaction.

    What control records say that is no matter of single records (alerts, decisions, restores) is kept once: by the
    first part of a divided journal.
    """

    def __init__(
        self,
        connection: Any,
        org: str,
        schema_text: Callable[[str], str | None],
        *,
        is_first: bool = True,
    ) -> None:
        self._connection = connection
        self._org = org
        self._is_first = is_first
        self._elsewhere = ElsewhereRows(connection)
        self.schemas = Schemas(connection, org, schema_text)
        self._stretches = Stretches(connection, org)
        self._scans = Scans(connection, org, self._stretches)
        self._readable_late = Late(connection, org)

    def forget(self) -> None:
        """Begin again from what the journal holds: the transaction was rolled back."""
        self.schemas.forget()
        self._elsewhere.forget()

    def write(self, batch: ColumnBatch, held: Held) -> Held:
        """Every row of the batch that is not held yet; returns what is held with it.

        Errors: StopProcess where ordinals are not contiguous; DuckDB's own.
        """
        after = held.copy()
        after.ordinal = next_ordinal_held(batch, held.ordinal)
        for key, offset in batch.checkpoint.offsets.items():
            after.offsets[key] = max(offset, after.offsets.get(key, 0))
        if after.checkpoint == held.checkpoint and not batch.control:
            return held
        control = read_control(batch.control)
        for origin in control.origins:
            claim_origin(self._connection, origin)
        self.schemas.told(control.schemas)
        self.schemas.described(control.descriptions)
        rows = self._changes(batch, held, after)
        self._quarantine(batch, control, rows, held)
        self._late(batch, control, held)
        if batch.missing is not None and batch.missing[1] > held.ordinal:
            self._missing(batch, rows, held)
        self._history(control, after)
        if self._is_first:
            write_alerts(self._connection, self._org, control.alerts)
            others = write_recovery(self._connection, self._org, control.decisions)
            write_decisions(self._connection, others)
        save(self._connection, held, after)
        return after

    # -- changes ------------------------------------------------------------------------------------------

    def _changes(self, batch: ColumnBatch, held: Held, after: Held) -> Rows:
        rows = new_rows(batch, held.ordinal, held.max_committed())
        if rows.platform_events.num_rows:
            with registered(self._connection, batch_platform_events=rows.platform_events):
                self._execute("insert_platform_events", org=self._org)
        self._advance(rows, after)
        if batch.elsewhere is not None:
            self._elsewhere.note(batch.elsewhere.beyond(held.ordinal))
        if not rows.changes.num_rows:
            return rows
        self.schemas.seen(rows.changes["schema_id"], int(rows.ordinal[0]) - 1)
        return self._insert(batch, rows)

    def _insert(self, batch: ColumnBatch, rows: Rows) -> Rows:
        diff_fields = batch.changes["diff_fields"].slice(batch.changes.num_rows - rows.changes.num_rows)
        rows, not_rebuilt = whole_texts(self._connection, rows, diff_fields)
        rows = without_unstreamed(rows, self.schemas)
        with registered(self._connection, batch_changes=rows.changes, batch_fields=field_table(rows)):
            self._execute("insert_changes", org=self._org)
            self._execute("insert_fields", org=self._org)
            self._consequences(rows)
        write_needs(self._connection, [_reread(diff, rows) for diff in not_rebuilt])
        return rows

    def _consequences(self, rows: Rows) -> None:
        """What the changes mean beyond themselves: fields that are null, holes, holes closed, changes of set-up."""
        write_setup(self._connection, self._org, rows)
        if _any_in(rows.kind, (Kind.CREATE, Kind.UNDELETE)):
            self._execute("insert_nulls", org=self._org)
        if pc.any(pc.is_in(rows.kind, GAP_NAMES)).as_py() or _has_wildcard(rows):
            gaps = self._connection.execute(statement("gaps")).to_arrow_table()
            with registered(self._connection, batch_gaps=gaps):
                self._stretches.gaps()
                self._execute("need_gaps")
        if not rows.is_event.all():
            self._stretches.repaired_by_rows()

    def _advance(self, rows: Rows, after: Held) -> None:
        """Each channel's greatest commit time, where the next batch goes on."""
        for name, (_, reached_ms) in rows.passage.items():
            after.channels[name] = replace(after.channel(name), max_committed=int(reached_ms[-1]))

    # -- what is not as it should be ----------------------------------------------------------------------

    def _late(self, batch: ColumnBatch, control: Control, held: Held) -> None:
        """Events that were put aside for want of a schema: with the schemas told now, and those told just before them."""
        for text in control.schemas:
            read = self._readable_late.readable(text, 0, text.place)
            seqs = [int(self._insert(columns, rows).ordinal[0]) for rows, columns in read]
            if seqs:
                self._readable_late.mark(seqs, text.place, text.appended_ms)
        for one in batch.bad:
            record = one.record
            if record.topic != QUARANTINE_TOPIC or record.ordinal <= held.ordinal:
                continue
            body = self.schemas.text_before(record.schema_id, record.ordinal)
            if body is None:
                continue
            text = SchemaText(record.schema_id, body, record.ordinal)
            for rows, columns in self._readable_late.readable(text, record.ordinal - 1, record.ordinal):
                self._insert(columns, rows)
                self._readable_late.mark([record.ordinal], record.ordinal, record.appended_at)

    def _quarantine(self, batch: ColumnBatch, control: Control, rows: Rows, held: Held) -> None:
        bad = [one for one in batch.bad if one.record.ordinal > held.ordinal]
        unreadable = [*control.bad, *batch.refused]
        if not bad and not unreadable:
            return
        for one in bad:
            if one.record.topic == QUARANTINE_TOPIC:
                continue  # nobody knew it then; the log may know it by now, which is for later
            self.schemas.seen_one(one.record.schema_id, one.record.ordinal - 1)
        events = [unread(one, self.schemas.entity_of) for one in bad]
        not_read = [unread(one, lambda *_: None) for one in unreadable] if self._is_first else []
        write_quarantine(self._connection, self._org, events + not_read)
        times = _Times(rows, control, held)
        for event in events:
            if event.hides_changes:
                self._stretches.unreadable(
                    event.seq, event.channel, event.entity, event.record_ids, times.of(event), event.reason
                )
        if not rows.is_event.all():  # a full state of the same batch may have closed what they hide
            with registered(self._connection, batch_changes=rows.changes):
                self._stretches.repaired_by_rows()
        write_needs(self._connection, [need for event in events for need in _needs_of(event, times)])

    def _missing(self, batch: ColumnBatch, rows: Rows, held: Held) -> None:
        assert batch.missing is not None
        first, last = max(int(batch.missing[0]), held.ordinal + 1), int(batch.missing[1])
        passed = [max(c.passed_to, c.max_committed) for c in held.channels.values()]
        from_ms = min(passed, default=0)
        came_ms = [bad.record.appended_at for bad in batch.bad]
        for table in (batch.changes, batch.platform_events):
            if table.num_rows:
                came_ms.append(pc.min(table["received_at"]).as_py() or 0)
        to_ms = max(min((ms for ms in came_ms if ms), default=from_ms), from_ms)
        self._stretches.ordinals_lost(first, last, from_ms, to_ms)
        reason = f"ordinals {first} to {last} were no longer in the log"
        entities = self._connection.execute("SELECT entity FROM store.entities ORDER BY entity").fetchall()
        write_needs(self._connection, [Need(last, entity, None, from_ms, reason) for (entity,) in entities])

    # -- control records ----------------------------------------------------------------------------------

    def _history(self, control: Control, after: Held) -> None:
        """Positions, coverage and jobs in their common order."""
        for topic, told in control.history:
            if topic == "positions":
                self._positions(told, after)
            elif topic == "coverage":
                self._stretches.told(told)
            else:
                self._scans.told(told, after.channels)

    def _positions(self, told: Told, after: Held) -> None:
        place = int(told.values["next_ordinal"]) - 1
        for position in told.values["channels"]:
            held = after.channel(position["channel"])
            if (place, position["passed_to"]) < (held.at_seq, held.passed_to):
                continue  # read once more
            now = replace(
                held,
                replay_id=position["replay_id"],
                passed_to=position["passed_to"],
                live_from=position["live_from"],
                stored_at=position["stored_at"],
                at_seq=place,
                heard_at=position["heard_at"],
                standing=position["standing"],
                trouble=position["trouble"],
            )
            self._stretches.live(held, now)
            after.channels[now.channel] = now

    def _execute(self, name: str, **given: Any) -> None:
        self._connection.execute(statement(name), given or None)


class _Times:
    """How far commit times of a channel had come before an ordinal."""

    def __init__(self, rows: Rows, control: Control, held: Held) -> None:
        self._rows = rows
        self._held = held
        self._positions = [told.values for topic, told in control.history if topic == "positions"]

    def of(self, event: Unread) -> int:
        """The time from which an unreadable event counts, as far as it can be told: its place on the bus."""
        return max(event.committed_ms, self.reached(event.channel, event.seq)) or event.received_ms

    def reached(self, channel: str, ordinal: int) -> int:
        before = self._held.channel(channel).max_committed or self._passed_to(channel, ordinal)
        passage = self._rows.passage.get(channel or NO_CHANNEL)
        if passage is None:
            return before
        place = int(passage[0].searchsorted(ordinal))
        return int(passage[1][place - 1]) if place else before

    def _passed_to(self, channel: str, ordinal: int) -> int:
        """What the newest position before an ordinal says, whether it came in this batch or in one before."""
        state: ChannelState = self._held.channel(channel)
        newest = (state.at_seq, state.passed_to)
        for told in self._positions:
            place = int(told["next_ordinal"]) - 1
            if place < ordinal:
                passed = [p["passed_to"] for p in told["channels"] if p["channel"] == channel]
                newest = max([newest, *((place, passed_to) for passed_to in passed)])
        return newest[1]


def _needs_of(event: Unread, times: _Times) -> list[Need]:
    """Records named by what could not be read are read again; a whole entity waits for a verification."""
    if not event.hides_changes or not event.entity:
        return []
    at_ms = times.of(event)
    return [
        Need(event.seq, event.entity, r, at_ms, "an event of it could not be read") for r in event.record_ids
    ]


def _reread(diff: Diff, rows: Rows) -> Need:
    at_ms = int(rows.effective_ms[diff.row])
    return Need(
        diff.seq,
        diff.entity,
        diff.record_id,
        at_ms,
        f"the text of {diff.field} came as a diff of another one",
    )


def _any_in(kinds: Any, wanted: tuple[Kind, ...]) -> bool:
    return any(pc.any(pc.equal(kinds, str(kind))).as_py() for kind in wanted)


def _has_wildcard(rows: Rows) -> bool:
    return bool(pc.any(pc.match_substring(rows.changes["record_id"], "*")).as_py())
