"""A part of a divided journal writes the rows that the whole would: times, order and all, whatever the others hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.avro.sharing import shard_of, shared_out
from cdc.journal.lake_views import of_part, table_names, union_views
from cdc.journal.ordinals import next_ordinal_held
from cdc.journal.rows import new_rows
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal
from tests.unit.journal.batches import CHANNEL, SECOND, T0, Change, batch

SHARDS = 3
HELD = {CHANNEL: T0}


@st.composite
def streams(draw: st.DrawFn) -> list[Change]:
    """Changes of a few records on two channels, with commit times that also run backwards."""
    count = draw(st.integers(1, 30))
    return [
        Change(
            n + 1,
            draw(st.integers(1, 6)),
            said={"Name": str(n)},
            at=T0 + draw(st.integers(-5, 20)) * SECOND,
            channel=draw(st.sampled_from([CHANNEL, "/data/ContactChangeEvent"])),
        )
        for n in range(count)
    ]


def parts(changes: list[Change]) -> list[ColumnBatch]:
    """The stream as each part is given it: its own changes as columns, the rest by place and time alone."""
    records = [
        LogRecord("AccountChangeEvent", c.id, b"", c.ordinal, c.at, c.channel or "", str(c.ordinal))
        for c in changes
    ]
    log_batch = LogBatch(records, Checkpoint({}, Ordinal(len(changes))))
    out = []
    for part in range(SHARDS):
        own, elsewhere = shared_out(log_batch, part, SHARDS)
        mine = {record.ordinal for record in own.records}
        columns = batch([c for c in changes if c.ordinal in mine], upto=len(changes))
        out.append(replace(columns, checkpoint=log_batch.checkpoint, elsewhere=elsewhere))
    return out


@given(streams())
@settings(max_examples=100, deadline=None)
def test_all_parts_together_have_the_rows_and_times_of_the_whole(changes: list[Change]) -> None:
    whole = new_rows(batch(changes), Ordinal(0), HELD)
    expected = dict(zip(whole.ordinal.tolist(), whole.effective_ms.tolist(), strict=True))
    found: dict[int, int] = {}
    for part in parts(changes):
        assert next_ordinal_held(part, Ordinal(0)) == len(changes)
        rows = new_rows(part, Ordinal(0), HELD)
        assert not found.keys() & set(rows.ordinal.tolist())
        found |= dict(zip(rows.ordinal.tolist(), rows.effective_ms.tolist(), strict=True))
        for channel, (numbers, reached) in whole.passage.items():
            assert np.array_equal(rows.passage[channel][0], numbers)
            assert np.array_equal(rows.passage[channel][1], reached)
    assert found == expected


@given(streams(), st.integers(0, 30))
@settings(max_examples=50, deadline=None)
def test_a_batch_read_again_gives_a_part_only_what_it_does_not_hold(changes: list[Change], held: int) -> None:
    held = min(held, len(changes))
    whole = new_rows(batch(changes), Ordinal(held), HELD)
    together = [new_rows(part, Ordinal(held), HELD) for part in parts(changes)]
    assert sorted(o for rows in together for o in rows.ordinal.tolist()) == whole.ordinal.tolist()


def test_all_of_a_record_is_in_one_part_and_the_set_up_is_in_the_first() -> None:
    assert {shard_of("AccountChangeEvent", f"001{n}", 4) for n in range(200)} == {0, 1, 2, 3}
    assert {shard_of("setup", f"0PS{n}", 4) for n in range(50)} == {0}
    assert {shard_of("UserChangeEvent", f"005{n}", 4) for n in range(50)} == {0}


def test_a_statement_about_the_store_means_the_part_in_its_tables_and_its_views() -> None:
    text = "INSERT INTO store.hot_fields SELECT * FROM store.fields JOIN store.schemas USING (schema_id)"
    assert of_part(text, "acme", 2) == (
        'INSERT INTO lake."acme_2".hot_fields SELECT * FROM memory.part_2.fields'
        ' JOIN lake."acme_2".schemas USING (schema_id)'
    )


def test_every_table_of_the_single_file_is_shown_over_all_parts() -> None:
    shown = " ".join(union_views("acme", 2))
    for table in table_names():
        assert f"VIEW store.{table} AS" in shown, table
