"""A replay into files goes on where it was, writes nothing twice, and gives the state at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from cdc.answer.fields import Field, Fields, fields_of
from cdc.errors import BadArgument
from cdc.replay.envelope import ChangeEnvelope, DebeziumEnvelope, Message
from cdc.replay.files import NdjsonTarget, ParquetTarget
from cdc.replay.images import Image
from cdc.replay.run import replay
from cdc.replay.stream import EVENT, START, Place, Span, Step, plan_of
from cdc.replay.target import Identity, is_target, place_of, place_text, split_target
from tests.unit.answer import recorded
from tests.unit.answer.told import A, B, Told
from tests.unit.replay.test_replay_images import asking

SAME = Identity({"asked": 1})


@pytest.fixture
def reader() -> duckdb.DuckDBPyConnection:
    told = Told()
    told.event(
        "CREATE",
        1,
        A,
        Name="a",
        Amount="12.5",
        CloseDate="2026-11-23",
        IsWon="true",
        BillingAddress__City="Oslo",
    )
    told.event("CREATE", 1, B, Name="b", Amount=None)
    told.event("UPDATE", 2, A, Amount="13")
    told.event("UPDATE", 3, A, Amount=...)
    told.event("DELETE", 4, B)
    told.event("UNDELETE", 5, B, Name="b", Amount="1")
    connection = told.opened()
    described = [
        {"name": "Name", "path": "Name", "type": "string"},
        {"name": "Amount", "path": "Amount", "type": "currency"},
        {"name": "CloseDate", "path": "CloseDate", "type": "date"},
        {"name": "IsWon", "path": "IsWon", "type": "boolean"},
        {"name": "BillingCity", "path": "BillingAddress.City", "type": "string"},
    ]
    recorded.insert(
        connection, "descriptions", [{"entity": "Account", "at_seq": 0, "fields": json.dumps(described)}]
    )
    return connection


def run(
    connection: duckdb.DuckDBPyConnection, target: Any, *, debezium: bool = False, with_schema: bool = False
) -> int:
    ask, span = asking(connection), Span()
    plan = plan_of(ask, span)
    envelope: Any = ChangeEnvelope()
    if debezium:
        envelope = DebeziumEnvelope(plan.org, lambda e: fields_of(connection, e), with_schema)
    after = target.begin()
    try:
        return replay(ask, span, plan, envelope, target, after=after, snapshot=False).messages
    finally:
        target.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_our_own_form_has_every_change_with_the_record_around_it(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert run(reader, NdjsonTarget(str(tmp_path / "f"), SAME, {}, again=False)) == 6
    rows = lines(tmp_path / "f")
    assert [(r["seq"], r["kind"]) for r in rows] == [
        (1, "CREATE"), (2, "CREATE"), (3, "UPDATE"), (4, "UPDATE"), (5, "DELETE"), (6, "UNDELETE"),
    ]  # fmt: skip
    assert rows[3]["unknown_fields"] == ["Amount"]
    assert "Amount" not in rows[3]["after"]["fields"]
    assert rows[3]["before"]["fields"]["Amount"] == "13"


def test_debezium_rows_have_types_and_the_names_of_queries_and_nothing_that_is_unknown(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    run(reader, NdjsonTarget(str(tmp_path / "f"), SAME, {}, again=False), debezium=True)
    rows = lines(tmp_path / "f")
    assert [r["op"] for r in rows] == ["c", "c", "u", "u", "d", "c"]
    assert rows[0]["before"] is None
    assert rows[0]["after"] == {
        "Id": A, "Name": "a", "Amount": 12.5, "CloseDate": 20780, "IsWon": True, "BillingCity": "Oslo",
    }  # fmt: skip
    assert rows[2]["before"]["Amount"] == 12.5
    assert "Amount" not in rows[3]["after"]
    assert rows[3]["source"]["unknown_fields"] == "Amount"
    assert (rows[4]["before"], rows[4]["after"]) == ({"Id": B, "Name": "b", "Amount": None}, None)
    assert rows[0]["source"]["table"] == "Account"
    assert rows[0]["transaction"] == {"id": "transaction0", "total_order": 1, "data_collection_order": 1}
    assert rows[0]["ts_ms"] == 60_000


def test_each_schema_describes_exactly_its_payload(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    run(reader, NdjsonTarget(str(tmp_path / "f"), SAME, {}, again=False), debezium=True, with_schema=True)
    for row in lines(tmp_path / "f"):
        _fits(row["schema"], row["payload"])


def _fits(schema: dict[str, Any], value: Any) -> None:
    """What Kafka Connect's JSON converter asks of a value and its schema."""
    if value is None:
        assert schema["optional"], schema
        return
    if schema["type"] == "struct":
        assert {f["field"] for f in schema["fields"]} >= set(value), schema.get("field")
        for one in schema["fields"]:
            _fits(one, value.get(one["field"]))
        return
    kinds: dict[str, Any] = {
        "string": str, "boolean": bool, "int64": int, "int32": int, "double": int | float,
    }  # fmt: skip
    assert isinstance(value, kinds[schema["type"]]), (schema, value)


def test_the_last_row_of_each_record_is_its_state(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    run(reader, NdjsonTarget(str(tmp_path / "f"), SAME, {}, again=False))
    last = {r["record_id"]: r["after"] for r in lines(tmp_path / "f")}
    held = {r[0]: {"status": r[1], "fields": r[2]} for r in asking(reader)("state", entity="Account")["rows"]}
    assert last == held


class Killed(Exception):
    """The process ended here."""


def killed_after(target: Any, portions: int) -> Any:
    """The target, but the process ends after so many portions were written."""
    write, left = target.write, [portions]

    def writing(messages: Sequence[Message], behind: Place) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        write(messages, behind)

    target.write = writing
    return target


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.replay.run.PORTION_MESSAGES", 1)
    monkeypatch.setattr("cdc.replay.files.PARQUET_ROWS", 2)
    return


@pytest.mark.parametrize("portions", range(7))
@pytest.mark.parametrize("torn", [b"", b'{"seq": 4, "tor'])
def test_a_file_goes_on_after_a_kill_as_if_there_had_been_none(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path, portions: int, torn: bytes
) -> None:
    run(reader, NdjsonTarget(str(tmp_path / "whole"), SAME, {}, again=False))
    path = tmp_path / "part"
    try:
        run(reader, killed_after(NdjsonTarget(str(path), SAME, {}, again=False), portions))
    except Killed:
        with path.open("ab") as file:
            file.write(torn)
        run(reader, NdjsonTarget(str(path), SAME, {}, again=False))
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert not (tmp_path / "part.replay").exists()


@pytest.mark.parametrize("portions", range(7))
def test_a_folder_of_parquet_goes_on_after_a_kill(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path, portions: int
) -> None:
    folder = tmp_path / "out"
    try:
        run(reader, killed_after(ParquetTarget(str(folder), SAME, {}, again=False), portions))
    except Killed:
        (folder / "Account").mkdir(exist_ok=True)
        (folder / "Account" / "part-00009.parquet").write_bytes(b"torn")
        run(reader, ParquetTarget(str(folder), SAME, {}, again=False))
    files = sorted((folder / "Account").glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert dict(rows[0]["after"])["Name"] == "a"
    assert not (folder / "_replay.json").exists()


def test_what_is_there_already_is_not_written_over(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "f"
    run(reader, NdjsonTarget(str(path), SAME, {}, again=False))
    with pytest.raises(BadArgument, match="--again"):
        run(reader, NdjsonTarget(str(path), SAME, {}, again=False))
    assert run(reader, NdjsonTarget(str(path), SAME, {}, again=True)) == 6
    run(reader, ParquetTarget(str(tmp_path / "d"), SAME, {}, again=False))
    with pytest.raises(BadArgument, match="--again"):
        run(reader, ParquetTarget(str(tmp_path / "d"), SAME, {}, again=False))


def test_the_rest_of_one_replay_is_not_continued_by_another(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = str(tmp_path / "f")
    with pytest.raises(Killed):
        run(reader, killed_after(NdjsonTarget(path, SAME, {}, again=False), 2))
    with pytest.raises(BadArgument, match="another replay began here"):
        run(reader, NdjsonTarget(path, Identity({"asked": 2}), {}, again=False))


def test_a_rate_holds_back(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    from cdc.ports.clock import Clock

    now, waits = [0.0], []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    ask, span = asking(reader), Span()
    target = NdjsonTarget(str(tmp_path / "f"), SAME, {}, again=False)
    after = target.begin()
    clock = Clock(monotonic_s=lambda: now[0])
    replay(
        ask, span, plan_of(ask, span), ChangeEnvelope(), target,
        after=after, snapshot=False, rate=2, clock=clock, wait=wait,
    )  # fmt: skip
    target.close()
    assert now[0] == pytest.approx(2.5)  # six messages: the last leaves when five have had their half second
    assert waits


def test_a_delete_has_a_tombstone_where_the_target_keeps_them() -> None:
    envelope = DebeziumEnvelope("acme", lambda e: Fields(e, {"Name": Field("Name", "Name")}), False, True)
    event = dict.fromkeys(
        ("seq", "committed_at", "transaction_key", "sequence_number", "event_id", "replay_id", "user_id", "client",
         "origin")
    )  # fmt: skip
    head = {"entity": "Account", "record_id": A, "kind": "DELETE", "source": "pubsub"}
    lists = {"changed_fields": [], "unknown_fields": []}
    step = Step(
        Place(1, EVENT), {**event, **head, **lists}, Image("present", {"Name": "a"}), Image("deleted")
    )
    first, second = envelope.messages(step)
    assert first.value is not None
    assert (second.key, second.value) == ({"Id": A}, None)


def test_places_and_targets_are_read_back() -> None:
    place = Place(5, 2, "Account", A)
    assert place_of(place_text(place)) == place
    assert Place(0, EVENT) > START
    assert split_target("kafka:a.b") == ("kafka", "a.b")
    assert split_target("-") == ("-", "")
    for text in ("kafka:", "csv:x", "s3://x", ""):
        with pytest.raises(BadArgument, match="kafka:TOPIC"):
            split_target(text)
    assert not is_target("-15m")
    assert is_target("parquet:x")
