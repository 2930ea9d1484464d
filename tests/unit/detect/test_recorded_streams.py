"""Recorded streams: what their rows say, what is wrong with them, and runs that go on where one stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdc.detect.batch import DetectBatch
from cdc.detect.files import judge_file
from cdc.detect.ndjson import table_of
from cdc.errors import BadArgument
from tests.unit.detect.weeks import BEGIN, DAY, FLOW, HOUR, Row, SmallOrg, as_batch

Said = list[tuple[int, str, str | None, bool]]


def row(**given: Any) -> Row:
    plain = {"entity": "Case", "record_id": "500A", "kind": "UPDATE", "committed_at": 1}
    return {**plain, **given}


def said(batch: DetectBatch) -> Said:
    """(row, field, value, known) as the detector sees it."""
    values = batch.value.to_pylist()
    return [
        (int(r), batch.field.names[f], None if n or not k else v, bool(k))
        for r, f, v, n, k in zip(
            batch.field_row, batch.field.codes, values, batch.null, batch.known, strict=True
        )
    ]


def runaway_rows() -> list[Row]:
    org = SmallOrg(2, users=4)
    rows = [r for r in org.weeks(0, 2) if r["committed_at"] >= BEGIN + 7 * DAY]
    wrong = org.bulk(
        "Contact", org.some("Contact", 900), BEGIN + 9 * DAY, "005X", FLOW, lambda: {"Phone": None}
    )
    rows = sorted([*rows, *wrong], key=lambda r: int(r["committed_at"]))
    return [*list(org.baseline())[:500], *rows]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def test_an_update_says_its_changed_fields_and_nothing_else() -> None:
    batch = as_batch(
        [
            row(
                changed_fields=["Status", "Subject", "Reason"],
                nulled_fields=["Reason"],
                values={"Status": "New", "Reason": None, "Enriched": "x"},
            )
        ]
    )
    assert said(batch) == [(0, "Status", "New", True), (0, "Subject", None, False), (0, "Reason", None, True)]


def test_a_row_without_changed_fields_says_its_values_and_nulls() -> None:
    batch = as_batch([row(values={"Status": "New", "A": None}, nulled_fields=["B"])])
    assert said(batch) == [(0, "Status", "New", True), (0, "A", None, True), (0, "B", None, True)]


def test_creates_say_their_values_and_deletes_and_gaps_none() -> None:
    values = {"Name": "n"}
    kinds = ("CREATE", "DELETE", "GAP_UPDATE", "UNDELETE", "BASELINE")
    batch = as_batch([row(kind=kind, values=values) for kind in kinds])
    assert [r for r, *_ in said(batch)] == [0, 3, 4]
    assert batch.full_state.tolist() == [False, False, False, False, True]


def test_a_row_with_only_the_required_columns_is_enough() -> None:
    batch = as_batch([row()])
    assert (batch.rows, said(batch), batch.user.names) == (1, [], [""])


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('{"record_id":"a","kind":"UPDATE","committed_at":1}', "entity"),
        ('{"entity":"A","record_id":"","kind":"UPDATE","committed_at":1}', "record_id"),
        ('{"entity":"A","record_id":"a","kind":"MERGE","committed_at":1}', "kind"),
        ('{"entity":"A","record_id":"a","kind":"UPDATE","committed_at":"noon"}', "committed_at"),
        ('{"entity":"A","record_id":"a","kind":"UPDATE","committed_at":1,"values":{"x":[]}}', "values"),
        (
            '{"entity":"A","record_id":"a","kind":"UPDATE","committed_at":1,"changed_fields":"x"}',
            "changed_fields",
        ),
        ('{"entity":', "(all)"),
        ("[1]", "(all)"),
    ],
)
def test_a_bad_row_is_named_by_number_and_column_and_leaves_no_output(
    tmp_path: Path, line: str, column: str
) -> None:
    source = tmp_path / "in.ndjson"
    source.write_text(json.dumps(row()) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(BadArgument, match=f"^Row 2, column {column.replace('(', '.').replace(')', '.')}: "):
        judge_file(source, tmp_path / "out.ndjson", tmp_path / "state")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.ndjson"]


def test_a_bad_row_of_parquet_is_named_too(tmp_path: Path) -> None:
    table = pa.table(
        {"entity": ["A", None], "record_id": ["1", "2"], "kind": ["DELETE"] * 2, "committed_at": [1, 2]}
    )
    pq.write_table(table, tmp_path / "in")
    with pytest.raises(BadArgument, match="Row 2, column entity: it is missing"):
        judge_file(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("problem", ["no file", "no column", "not a state"])
def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path, problem: str) -> None:
    source, state = tmp_path / "in", tmp_path / "state"
    if problem == "no column":
        pq.write_table(pa.table({"entity": ["A"]}), source)
    if problem == "not a state":
        write(source, [row()])
        state.write_bytes(b"something else")
    with pytest.raises(BadArgument):
        judge_file(source, tmp_path / "out", state)
    assert not (tmp_path / "out").exists()


def test_parquet_and_ndjson_of_one_stream_give_the_same_alerts(tmp_path: Path) -> None:
    rows = runaway_rows()
    write(tmp_path / "in.ndjson", rows)
    pq.write_table(table_of(rows), tmp_path / "in.parquet", row_group_size=1000)
    first = judge_file(tmp_path / "in.ndjson", tmp_path / "a")
    second = judge_file(tmp_path / "in.parquet", tmp_path / "b")
    assert first == second
    assert first.pages >= 1
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_times_may_be_written_as_iso_8601_with_a_zone(tmp_path: Path) -> None:
    rows = runaway_rows()
    written = [
        {**r, "committed_at": datetime.fromtimestamp(r["committed_at"] / 1000, UTC).isoformat()} for r in rows
    ]
    judge_file(write(tmp_path / "plain", rows), tmp_path / "a")
    judge_file(write(tmp_path / "iso", written), tmp_path / "b")
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_parquet_as_other_writers_make_it_says_the_same(tmp_path: Path) -> None:
    """Large buffers and dictionaries, a column for each field or JSON instead of a map, times as times."""
    rows = runaway_rows()
    plain = table_of(rows)
    judge_file(write(tmp_path / "in.ndjson", rows), tmp_path / "a")
    values = [dict(v) for v in plain["values"].to_pylist()]
    shapes = {
        "large": plain["values"],
        "struct": pa.array(values),
        "json": pa.array([json.dumps(v) for v in values]),
    }
    for name, column in shapes.items():
        table = plain.set_column(plain.schema.get_field_index("values"), "values", column)
        for field, kind in (
            ("record_id", pa.large_string()),
            ("entity", pa.dictionary(pa.int32(), pa.string())),
            ("changed_fields", pa.large_list(pa.large_string())),
            ("committed_at", pa.timestamp("us", "UTC")),
        ):
            at = table.schema.get_field_index(field)
            given = table[field].combine_chunks()
            made = (
                pa.array(given.to_pylist(), kind)
                if "list" in str(kind)
                else given.cast(pa.timestamp("ms", "UTC") if field == "committed_at" else kind)
            )
            table = table.set_column(at, field, made)
        pq.write_table(table, tmp_path / name)
        judge_file(tmp_path / name, tmp_path / f"{name}.out")
        assert (tmp_path / f"{name}.out").read_text() == (tmp_path / "a").read_text()


def test_a_stream_cut_in_two_gives_exactly_the_alerts_of_the_whole(tmp_path: Path) -> None:
    rows = runaway_rows()
    whole = tmp_path / "whole"
    judge_file(write(tmp_path / "in", rows), whole, tmp_path / "whole.state")
    lines = whole.read_text(encoding="utf-8").splitlines()
    inside = [json.loads(line)["at_change"] for line in lines][0] + 50  # noqa: RUF015
    for cut in (300, inside, len(rows) - 1):
        state = tmp_path / f"{cut}.state"
        judge_file(write(tmp_path / "1", rows[:cut]), tmp_path / "out1", state)
        judge_file(write(tmp_path / "2", rows[cut:]), tmp_path / "out2", state)
        assert (tmp_path / "out1").read_text() + (tmp_path / "out2").read_text() == whole.read_text()
        assert state.read_bytes() == (tmp_path / "whole.state").read_bytes()


def test_lines_have_iso_times_and_the_alert_schema_s_fields(tmp_path: Path) -> None:
    judge_file(write(tmp_path / "in", runaway_rows()), tmp_path / "out", org="acme")
    schema = json.loads((Path(__file__).parents[3] / "schemas" / "alert.avsc").read_text(encoding="utf-8"))
    for line in (tmp_path / "out").read_text(encoding="utf-8").splitlines():
        alert = json.loads(line)
        assert set(alert) == {field["name"] for field in schema["fields"]}
        assert alert["org"] == "acme"
        for name in ("first_change_at", "last_change_at", "decided_at"):
            assert alert[name].endswith("Z")
            assert len(alert[name]) == len("2026-11-23T10:02:00.000Z")
            datetime.fromisoformat(alert[name])


def test_the_end_of_the_input_closes_nothing(tmp_path: Path) -> None:
    org = SmallOrg(1)
    rows = org.bulk("Lead", org.some("Lead", 400), BEGIN + HOUR, "005Y", FLOW, dict, kind="DELETE")
    judged = judge_file(write(tmp_path / "in", rows), tmp_path / "out")
    states = [json.loads(line)["state"] for line in (tmp_path / "out").read_text().splitlines()]
    assert (judged.rows, judged.pages, states) == (400, 1, ["open"])


def test_an_empty_input_gives_an_empty_output(tmp_path: Path) -> None:
    judged = judge_file(write(tmp_path / "in", []), tmp_path / "out")
    assert (judged.rows, (tmp_path / "out").read_text()) == (0, "")
