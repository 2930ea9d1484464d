"""Partitions read in any interleaving, stopped anywhere, compacted in between: always the one order of the appends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.log.merge import Gate, OrdinalMerge
from cdc.log.topics import COMPACTED
from cdc.ports.log import Checkpoint, LogRecord

CONTROLS = ("jobs", "coverage", "schemas")


@dataclass
class Stored:
    """What a partition holds at an offset."""

    record: LogRecord
    number: int = 0  # of a control record of a transaction
    gate: Gate | None = None


@dataclass
class Partitions:
    """A log as its partitions see it, with the order of its appends beside it."""

    by_key: dict[str, list[tuple[int, Stored]]] = field(default_factory=dict)
    order: list[LogRecord] = field(default_factory=list)
    published: list[LogRecord] = field(default_factory=list)

    def add(self, key: str, stored: Stored) -> None:
        records = self.by_key.setdefault(key, [])
        records.append((records[-1][0] + 2 if records else 0, stored))


def make_log(transactions: list[list[str]], rng: random.Random) -> Partitions:
    log = Partitions()
    following, number, last = 1, 0, {}
    for transaction in transactions:
        for topic in transaction:
            if topic == "published":
                record = LogRecord("jobs", f"asked-{len(log.published)}", b"")
                log.published.append(record)
                log.add("jobs/0", Stored(record))
            elif topic in CONTROLS:
                number += 1
                last[topic] = number
                record = LogRecord(topic, rng.choice("ab"), b"%d" % number, following - 1)
                log.order.append(record)
                log.add(f"{topic}/0", Stored(record, number))
            else:
                record = LogRecord(topic, "", b"", following)
                following += 1
                log.order.append(record)
                log.add(f"{topic}/{rng.randrange(3)}", Stored(record))
        number += 1
        last["positions"] = number
        record = LogRecord("positions", "org", b"%d" % number, following - 1)
        log.order.append(record)
        log.add("positions/0", Stored(record, number, Gate(following, number, dict(last))))
    return log


def compact(log: Partitions, rng: random.Random) -> None:
    """Some of the records that a newer one of their key replaces are gone."""
    for key, records in log.by_key.items():
        if key.split("/")[0] in COMPACTED:
            newest = {stored.record.key: offset for offset, stored in records}
            kept = [item for item in records if newest[item[1].record.key] == item[0] or rng.random() < 0.5]
            gone = [stored.record for offset, stored in records if (offset, stored) not in kept]
            records[:] = kept
            log.order = [record for record in log.order if record not in gone]
            log.published = [record for record in log.published if record not in gone]


def deliver(merge: OrdinalMerge, key: str, offset: int, stored: Stored) -> None:
    if key.split("/")[0] in (*CONTROLS, "positions"):
        merge.add_control(stored.record, stored.number, key, offset + 1, stored.gate)
    else:
        merge.add_change(stored.record, key, offset + 1)


TRANSACTIONS = st.lists(
    st.lists(st.sampled_from(["Account", "Contact", "jobs", "coverage", "schemas", "published"]), max_size=8),
    min_size=1,
    max_size=8,
)


@settings(max_examples=400, deadline=None)
@given(TRANSACTIONS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_any_interleaving_with_restarts_gives_the_order_of_the_appends(
    transactions: list[list[str]], rng: random.Random, limit: int
) -> None:
    log = make_log(transactions, rng)
    compact(log, rng)
    taken: list[LogRecord] = []
    merge = OrdinalMerge(Checkpoint())
    at = dict.fromkeys(log.by_key, 0)
    while any(at[key] < len(log.by_key[key]) for key in at) or merge.waiting:
        open_keys = [key for key in at if at[key] < len(log.by_key[key])]
        for _ in range(rng.randrange(1, 6)):
            if open_keys:
                key = rng.choice(open_keys)
                if at[key] < len(log.by_key[key]):
                    deliver(merge, key, *log.by_key[key][at[key]])
                    at[key] += 1
        batch: list[LogRecord] = []
        merge.take(batch, limit)
        assert len(batch) <= limit
        taken += batch
        if rng.random() < 0.2:
            checkpoint = merge.checkpoint()
            merge = OrdinalMerge(checkpoint)
            at = {
                key: sum(offset < checkpoint.offsets.get(key, 0) for offset, _ in records)
                for key, records in log.by_key.items()
            }
    assert [record for record in taken if not record.key.startswith("asked")] == log.order
    assert [record for record in taken if record.key.startswith("asked")] == log.published


@settings(max_examples=100, deadline=None)
@given(TRANSACTIONS, st.randoms(use_true_random=False))
def test_a_partition_read_again_from_its_start_gives_nothing_twice(
    transactions: list[list[str]], rng: random.Random
) -> None:
    log = make_log([[topic for topic in one if topic != "published"] for one in transactions], rng)
    merge = OrdinalMerge(Checkpoint())
    taken: list[LogRecord] = []
    for _ in range(2):
        for key, records in log.by_key.items():
            for offset, stored in records:
                deliver(merge, key, offset, stored)
        merge.take(taken, 10_000)
    assert taken == log.order
    assert (merge.waiting, merge.waiting_bytes) == (0, 0)


def test_a_change_waits_for_the_control_record_before_it() -> None:
    merge = OrdinalMerge(Checkpoint())
    taken: list[LogRecord] = []
    first, second = LogRecord("Account", "", b"", 1), LogRecord("Account", "", b"", 2)
    job = LogRecord("jobs", "j", b"", 1)
    merge.add_change(first, "Account/0", 1)
    merge.add_change(second, "Account/0", 2)
    merge.add_control(
        LogRecord("positions", "o", b"", 2), 2, "positions/0", 1, Gate(3, 2, {"jobs": 1, "positions": 2})
    )
    merge.take(taken, 100)
    assert taken == []
    assert merge.awaited_topics() == {"jobs"}

    merge.add_control(job, 1, "jobs/0", 1)
    merge.take(taken, 100)
    assert [(r.topic, r.ordinal) for r in taken] == [
        ("Account", 1),
        ("jobs", 1),
        ("Account", 2),
        ("positions", 2),
    ]


def test_a_hole_goes_up_to_the_first_change_that_is_there_or_was_committed() -> None:
    merge = OrdinalMerge(Checkpoint())
    merge.add_control(LogRecord("positions", "o", b"", 9), 1, "positions/0", 1, Gate(10, 1, {"positions": 1}))
    merge.take([], 10)
    assert merge.lacks_change()
    merge.add_change(LogRecord("Account", "", b"", 12), "Account/0", 1)
    assert merge.skip_missing(merge.committed_to) == (1, 9)  # 10 and 11 may still come
    taken: list[LogRecord] = []
    merge.add_control(
        LogRecord("positions", "o", b"", 12), 2, "positions/0", 2, Gate(13, 2, {"positions": 2})
    )
    merge.add_change(LogRecord("Account", "", b"", 10), "Account/1", 1)
    merge.add_change(LogRecord("Account", "", b"", 11), "Account/1", 2)
    merge.take(taken, 10)
    assert [r.ordinal for r in taken] == [9, 10, 11, 12, 12]
