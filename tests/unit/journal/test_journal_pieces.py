"""Segments are merged a piece of their records at a time, and each row is in exactly one piece."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.journal import merging
from cdc.journal.pieces import pieces
from tests.unit.answer import recorded

PLACES = st.lists(
    st.tuples(
        st.sampled_from(["Account", "Case", "It's", "Ä"]), st.sampled_from(["001a", "001b'", "001c", "é"])
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(files=st.lists(PLACES, min_size=1, max_size=3), rows=st.integers(1, 5))
def test_each_row_is_in_one_piece_and_pieces_follow_each_other(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[str, str]]], rows: int
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    paths = []
    for number, places in enumerate(files):
        paths.append(folder / f"{number}.parquet")
        table = pa.table(
            dict(zip(("entity", "record_id"), map(list, zip(*sorted(places), strict=True)), strict=True))
        )
        pq.write_table(table, paths[-1], row_group_size=2)
    read = f"read_parquet({[str(p) for p in paths]})"
    found = [
        duckdb.sql(f"SELECT entity, record_id FROM {read} WHERE {part} ORDER BY ALL").fetchall()
        for part in pieces(paths, rows)
    ]
    assert [row for piece in found for row in piece] == sorted(row for places in files for row in places)


def test_a_merge_in_many_pieces_gives_the_files_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from random import Random

    from cdc.change.order import READ_MARGIN_MS
    from tests.unit.answer.histories import history

    past = history(Random(5), margin=READ_MARGIN_MS)
    last = max(i.seq for i in past.journal.items)
    merged = []
    for rows in (None, 1):
        connection = recorded.opened()
        recorded.write(connection, past.journal)
        folder = tmp_path / str(rows)
        recorded.seal(connection, str(folder), *range(1, last, 3), last)
        if rows is not None:
            monkeypatch.setattr(merging, "pieces", partial(pieces, rows=rows))
        recorded.merge_all(connection, str(folder))
        newest = max(p for p in folder.iterdir() if p.name.isdigit())
        merged.append([pq.read_table(newest / f"{t}.parquet").to_pylist() for t in ("changes", "fields")])
    assert merged[0] == merged[1]
    assert merged[0][1]


def test_a_segment_is_plain_parquet_with_the_journals_values(tmp_path: Path) -> None:
    from random import Random

    from cdc.change.order import READ_MARGIN_MS
    from tests.unit.answer.histories import history

    past = history(Random(11), margin=READ_MARGIN_MS)
    last = max(i.seq for i in past.journal.items)
    connection = recorded.opened()
    recorded.write(connection, past.journal)
    recorded.seal(connection, str(tmp_path), last)
    for table in ("changes", "fields"):
        (path,) = tmp_path.glob(f"*/{table}.parquet")
        by_arrow = pq.read_table(path)
        by_another = duckdb.connect().execute(f"FROM '{path}'").to_arrow_table()
        assert by_arrow.to_pylist() == by_another.to_pylist()
        assert str(by_arrow.schema.field("kind").type) == "string"
        assert str(by_arrow.schema.field("effective_at").type) == "timestamp[us]"
        held = connection.execute(
            f"SELECT seq, record_id, kind::VARCHAR FROM store.{table} ORDER BY ALL"
        ).fetchall()
        assert sorted((r["seq"], r["record_id"], r["kind"]) for r in by_arrow.to_pylist()) == held
