"""A batch put in the order the detector walks it: by key, each key's changes in stream order.

Everything done per change or per field value is done here for the whole batch at once, on columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.ids import OVERFLOW_ID, WILDCARD_SUFFIX
from cdc.change.kinds import WHOLE_KINDS, Kind
from cdc.detect.across import ROWS, WHOLE, Across, Cell, Who
from cdc.detect.batch import I64, NOT_EVIDENCE, DetectBatch, Mask, Texts, origin_class
from cdc.detect.episode import GAP_MS, RECORD_ID_BYTES, Beginning, Key
from cdc.detect.facts import SENSITIVE
from cdc.detect.hashing import U64, hash_texts, hash_words, lengths_of, mixed
from cdc.detect.recall import Recall
from cdc.detect.shapes import lowered, shapes_of
from cdc.detect.slices import Written
from cdc.detect.tallies import FIELD_ROWS, KNOWN, NULL, NULL_HASH, TEXT_BYTES, UNKNOWN, FieldRows

FIELD_NAMES_MAX = 20_000
ENTITIES_MAX = 20_000
STOCK_SAMPLE = 4
"""One full state in so many teaches which values fields have; all are counted as known records."""

TRANSACTION_BYTES = 40
_BEFORE_ALL = -(1 << 62)


class StreamClock:
    """Event time of each entity's stream and of the whole, running maxima of `committed_at`.

    Commit times run back by a second or two; a step back of 15 minutes or more is a stream that catches
    up after a break, and its time begins anew. `seen` is the time of the whole stream and never steps back.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.entities: dict[str, int] = {}

    def entity_times(self, entity: str, committed_at: I64) -> I64:
        reached = self.entities.get(entity, int(committed_at[0]))
        times = np.maximum(np.maximum.accumulate(committed_at), reached)
        if bool((times - committed_at >= GAP_MS).any()):
            times = _with_steps_back(committed_at, reached)
        if entity in self.entities or len(self.entities) < ENTITIES_MAX:
            self.entities[entity] = int(times[-1])
        return times


@dataclass(frozen=True, slots=True)
class Group:
    """Changes `start` to before `stop` of the arranged batch have this key."""

    key: Key
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Stock:
    """Full states of one entity: their rows in the batch, ids, and field rows with `row` the batch's row."""

    entity: str
    rows: I64
    ids: U64
    fields: FieldRows


@dataclass(frozen=True, slots=True)
class Arranged:
    """Changes by key. `rows` are the places in the batch; `breaks` are places where a pause ends an episode."""

    groups: list[Group]
    rows: list[int]
    ids: list[int]
    times: list[int]
    seen: list[int]
    transactions: list[int]
    breaks: list[int]
    special: list[int]
    record_ids: npt.NDArray[np.bytes_]
    offsets: I64
    fields: FieldRows
    seen_by_row: I64
    stock: list[Stock]
    written: Written
    batch: DetectBatch = field(repr=False)

    def beginning(self, place: int, base: int) -> Beginning:
        """How an episode begins with the change at this place; `base` input rows came before the batch."""
        row, batch = self.rows[place], self.batch
        transaction = batch.transaction[row].as_py()
        return Beginning(
            number=base + row + 1,
            ordinal=int(batch.ordinal[row]),
            at=self.times[place],
            transaction=transaction or "",
            origin=_name(batch.origin, row),
            client=_name(batch.client, row),
        )


class FieldNames:
    """Field names as small numbers, in order of first appearance; names beyond the cap have none."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names = names or []
        self._codes = {name: code for code, name in enumerate(self.names)}

    def codes(self, fields: Texts, wanted: Mask) -> npt.NDArray[np.int32]:
        """The code of each wanted row's field; -1: not evidence, or beyond the cap."""
        codes = np.full(len(fields.names), -1, np.int32)
        used, first = np.unique(fields.codes[wanted], return_index=True)
        for at in used[np.argsort(first, kind="stable")].tolist():
            name = fields.names[at]
            if name in NOT_EVIDENCE:
                continue
            known = self._codes.get(name)
            if known is None and len(self.names) < FIELD_NAMES_MAX:
                known = self._codes[name] = len(self.names)
                self.names.append(name)
            if known is not None:
                codes[at] = known
        found: npt.NDArray[np.int32] = codes[fields.codes]
        return found


RECENT_PLACES_LOG2 = 17
SAMPLED_PLACES_LOG2 = 17
CREATED_PLACES_LOG2 = 17
_NULL_BEFORE = np.uint32(2)
_FIELD_MARK = np.uint64(0x9E3779B97F4A7C15)


class Memory:
    """What fields held: lately, and in a sample of all records; and which values new records have had."""

    def __init__(self) -> None:
        self.recent = Recall(RECENT_PLACES_LOG2)
        self.sampled = Recall(SAMPLED_PLACES_LOG2, sampled=True)
        self.created = Recall(CREATED_PLACES_LOG2)

    def note(
        self, made: FieldRows, record: U64, at: I64, whole: Mask, stock: Mask, few: Mask, likeness: U64
    ) -> None:
        """Fill `before`, `flips` and `again` of field rows in stream order.

        `record` and `at` (epoch ms) are of each row's change, `whole`: of a new record or a full state,
        `stock`: of a full state, `few`: of an entity of which there are few records, each of which is remembered
        before all others, `likeness`: the value without the difference of capitals.
        """
        told = np.flatnonzero(made["flag"] != UNKNOWN)
        fields, flag = made["field"][told].astype(np.uint64), made["flag"][told]
        keys = mixed(record[told] + fields * _FIELD_MARK)
        low = (made["value"][told] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        values = np.where(flag == NULL, _NULL_BEFORE, low | np.uint32(1))
        minutes = np.maximum(at[told] // 60_000, 0).astype(np.uint32)
        priority = (record[told] >> np.where(few[told], np.uint64(48), np.uint64(32))).astype(np.uint32)
        of_stock = stock[told]
        sampled = self.sampled.take(keys, values, minutes, priority)
        living = np.flatnonzero(~of_stock)
        recent = self.recent.take(keys[living], values[living], minutes[living], priority[living])
        made["before"][told] = sampled.before
        before = made["before"][told[living]]
        made["before"][told[living]] = np.where(recent.before, recent.before, before)
        made["flips"][told[living]] = recent.flips
        new = np.flatnonzero(whole[told] & (flag == KNOWN))
        if len(new):
            alike = mixed(likeness[told[new]] + fields[new] * _FIELD_MARK)
            ones = np.ones(len(new), np.uint32)
            made["again"][told[new]] = self.created.take(alike, ones, minutes[new], ones).before > 0

    def state(self) -> Any:
        return [self.recent.state(), self.sampled.state(), self.created.state()]

    def restore(self, state: Any) -> None:
        for table, kept in zip((self.recent, self.sampled, self.created), state, strict=True):
            table.restore(kept)


def arrange(
    batch: DetectBatch, clock: StreamClock, names: FieldNames, memory: Memory, across: Across
) -> Arranged:
    """Advances the clock by the batch, names its fields, remembers its values; changes nothing else."""
    ids, id_words = hash_texts(batch.record_id, RECORD_ID_BYTES)
    evidence = np.flatnonzero(~batch.full_state)
    seen_by_row = _seen(batch, clock)
    times = _times(batch, evidence, clock)
    keys, key_codes = _keys(batch, evidence)
    order = np.argsort(key_codes, kind="stable")
    rows, codes, times = evidence[order], key_codes[order], times[order]
    seen = seen_by_row[rows]
    new_key = np.concatenate(([True], codes[1:] != codes[:-1])) if len(codes) else np.zeros(0, bool)
    pause = np.zeros(len(codes), bool)
    if len(codes) > 1:
        step, waited = np.diff(times), np.diff(seen)
        pause[1:] = ~new_key[1:] & ((step >= GAP_MS) | (step < 0) | (waited >= GAP_MS))
    starts = np.flatnonzero(new_key)
    ends = np.flatnonzero(np.append(new_key[1:], True)) + 1 if len(codes) else starts
    groups = [Group(keys[int(codes[a])], a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    fields, offsets, stock_fields, written = _fields(batch, rows, ids, names, memory)
    texts = id_words.view(f"S{RECORD_ID_BYTES}").reshape(-1)
    transactions, _ = hash_texts(batch.transaction, TRANSACTION_BYTES)
    special = np.flatnonzero(_special(batch)[rows])
    return Arranged(
        groups=groups,
        rows=rows.tolist(),
        ids=ids[rows].tolist(),
        times=times.tolist(),
        seen=seen.tolist(),
        transactions=transactions[rows].tolist(),
        breaks=np.flatnonzero(pause).tolist(),
        special=special.tolist(),
        record_ids=texts[rows],
        offsets=offsets,
        fields=fields,
        seen_by_row=seen_by_row,
        stock=_stock(batch, ids, stock_fields),
        written=_across(batch, written, ids, texts, across),
        batch=batch,
    )


def _seen(batch: DetectBatch, clock: StreamClock) -> I64:
    given = np.where(batch.full_state, _BEFORE_ALL, batch.committed_at)
    seen: I64 = np.maximum(np.maximum.accumulate(given), clock.seen)
    if len(seen):
        clock.seen = int(seen[-1])
    return seen


def _times(batch: DetectBatch, evidence: I64, clock: StreamClock) -> I64:
    committed = batch.committed_at[evidence].astype(np.int64)
    codes = batch.entity.codes[evidence]
    times = committed.copy()
    used, first = np.unique(codes, return_index=True)
    for code in used[np.argsort(first, kind="stable")].tolist():
        mine = np.flatnonzero(codes == code)
        times[mine] = clock.entity_times(batch.entity.names[code], committed[mine])
    return times


def _with_steps_back(committed_at: I64, reached: int) -> I64:
    times = committed_at.copy()
    for at, one in enumerate(committed_at.tolist()):
        reached = one if one > reached or reached - one >= GAP_MS else reached
        times[at] = reached
    return times


def _keys(batch: DetectBatch, evidence: I64) -> tuple[dict[int, Key], I64]:
    """Each evidence row's key as a number, and the keys of the numbers."""
    origin, client = batch.origin, batch.client
    pairs = origin.codes[evidence].astype(np.int64) * len(client.names) + client.codes[evidence]
    used = np.unique(pairs)
    classes: dict[str, int] = {}
    class_of = [
        classes.setdefault(
            origin_class(origin.names[p // len(client.names)], client.names[p % len(client.names)]),
            len(classes),
        )
        for p in used.tolist()
    ]
    by = np.array(class_of, np.int64)[np.searchsorted(used, pairs)] if len(used) else pairs
    codes = by
    for texts in (batch.user, batch.entity, batch.kind):
        codes = codes * len(texts.names) + texts.codes[evidence]
    class_names = list(classes)
    keys = {}
    for code in np.unique(codes).tolist():
        rest, kind = divmod(code, len(batch.kind.names))
        rest, entity = divmod(rest, len(batch.entity.names))
        at, user = divmod(rest, len(batch.user.names))
        keys[code] = Key(
            batch.user.names[user], class_names[at], batch.entity.names[entity], batch.kind.names[kind]
        )
    return keys, codes


def _fields(
    batch: DetectBatch, rows: I64, ids: U64, names: FieldNames, memory: Memory
) -> tuple[FieldRows, I64, FieldRows, FieldRows]:
    """Field rows of the arranged changes with where each change's begin, those of sampled full states, and
    again those of changes, in stream order with `row` the batch's."""
    at = batch.field_row
    few = np.array([name in SENSITIVE for name in batch.entity.names] or [False], bool)[batch.entity.codes]
    sampled = batch.full_state & (few | (ids % np.uint64(STOCK_SAMPLE) == 0))
    plain = np.array([name not in WHOLE_KINDS for name in batch.kind.names] or [True], bool)
    stock = sampled[at]
    wanted = (~batch.full_state)[at] | stock
    null = batch.null & batch.known
    wanted &= (
        ~null | stock | plain[batch.kind.codes[at]]
    )  # a field that a new record leaves empty says nothing
    codes = names.codes(batch.field, wanted)
    wanted &= codes >= 0
    keep = np.flatnonzero(wanted)
    value = batch.value if len(keep) == len(at) else batch.value.take(pa.array(keep))
    hashes, words = hash_texts(value, TEXT_BYTES)
    made = np.empty(len(keep), FIELD_ROWS)
    flags = np.where(batch.known[keep], np.where(null[keep], NULL, KNOWN), UNKNOWN)
    made["value"] = np.where(flags == KNOWN, hashes, np.uint64(NULL_HASH))
    made["field"] = codes[keep]
    made["flag"] = flags
    made["text"] = words.view(f"S{TEXT_BYTES}").reshape(-1)
    lengths = lengths_of(value)
    made["shape"] = np.where(flags == KNOWN, shapes_of(words, lengths), 0)
    stock = stock[keep]
    made["row"] = at[keep]
    made["before"], made["flips"], made["again"] = 0, 0, 0
    whole = stock | ~plain[batch.kind.codes[at[keep]]]
    of = at[keep]
    memory.note(
        made, ids[of], batch.committed_at[of], whole, stock, few[of], _likeness(words, lengths, whole)
    )
    stock_fields = made[stock] if bool(stock.any()) else made[:0]
    if len(stock_fields):
        made = made[~stock]
    written = made.copy()
    place = np.empty(batch.rows, np.int64)
    place[rows] = np.arange(len(rows))
    made["row"] = place[made["row"]]
    fields = made[np.argsort(made["row"], kind="stable")]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(fields["row"], minlength=len(rows)))))
    return fields, offsets.astype(np.int64), stock_fields, written


def _across(
    batch: DetectBatch, made: FieldRows, ids: U64, texts: npt.NDArray[np.bytes_], across: Across
) -> Written:
    """Updates as rows of cells in stream order, each change beginning with a row for itself."""
    plain = np.array([name == Kind.UPDATE for name in batch.kind.names] or [False], bool)[batch.kind.codes]
    changes = np.flatnonzero(plain & ~batch.full_state)
    fields = made[plain[made["row"]]] if len(changes) else made[:0]
    counts = np.bincount(fields["row"], minlength=batch.rows)[changes] if len(changes) else changes
    starts = np.concatenate(([0], np.cumsum(counts + 1)))[:-1].astype(np.int64)
    rows = np.zeros(len(changes) + len(fields), ROWS)
    of_field = np.ones(len(rows), bool)
    of_field[starts] = False
    change = np.repeat(changes, counts + 1)
    for name in ("value", "flag", "text"):
        rows[name][of_field] = fields[name]
    rows["record"], rows["id"] = ids[change], texts[change]
    codes = np.full(len(rows), WHOLE, np.int64)
    codes[of_field] = fields["field"]
    entity = batch.entity.codes[change].astype(np.int64)
    kind = str(Kind.UPDATE)
    rows["cell"] = _numbered(
        entity << 32 | codes + 1,
        lambda key: across.cell_code(Cell(batch.entity.names[key >> 32], kind, (key & 0xFFFFFFFF) - 1)),
    )
    width = len(batch.origin.names), len(batch.client.names)
    who = (batch.user.codes[change].astype(np.int64) * width[0] + batch.origin.codes[change]) * width[1]
    rows["who"] = _numbered(
        who + batch.client.codes[change],
        lambda key: across.actor_code(
            Who(
                batch.user.names[key // width[1] // width[0]],
                batch.origin.names[key // width[1] % width[0]],
                batch.client.names[key % width[1]],
            )
        ),
    )
    whole = np.repeat(rows["cell"][starts], counts + 1).astype(np.int32)
    return Written(rows, whole, change)


def _numbered(keys: I64, number: Callable[[int], int]) -> I64:
    """Each key's number; new keys are numbered in order of first appearance."""
    used, first, back = np.unique(keys, return_index=True, return_inverse=True)
    numbers = np.zeros(len(used), np.int64)
    for at in np.argsort(first, kind="stable").tolist():
        numbers[at] = number(int(used[at]))
    found: I64 = numbers[back]
    return found


def _likeness(words: U64, lengths: I64, wanted: Mask) -> U64:
    likeness = np.zeros(len(words), np.uint64)
    some = np.flatnonzero(wanted)
    likeness[some] = hash_words(lowered(words[some]), lengths[some])
    return likeness


def _stock(batch: DetectBatch, ids: U64, fields: FieldRows) -> list[Stock]:
    if not bool(batch.full_state.any()):
        return []
    found = []
    field_entities = batch.entity.codes[fields["row"]]
    for code in np.unique(batch.entity.codes[batch.full_state]).tolist():
        rows = np.flatnonzero(batch.full_state & (batch.entity.codes == code))
        found.append(Stock(batch.entity.names[code], rows, ids[rows], fields[field_entities == code]))
    return found


def _special(batch: DetectBatch) -> Mask:
    """Rows that stand for records they do not name."""
    wild = pc.or_(
        pc.ends_with(batch.record_id, WILDCARD_SUFFIX), pc.equal(batch.record_id, pa.scalar(OVERFLOW_ID))
    )
    over = np.array([name == Kind.GAP_OVERFLOW for name in batch.kind.names] or [False], bool)
    special: Mask = np.asarray(pc.fill_null(wild, False)).astype(bool) | over[batch.kind.codes]
    special &= ~batch.full_state
    return special


def _name(texts: Texts, row: int) -> str:
    return texts.names[int(texts.codes[row])]
