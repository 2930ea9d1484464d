"""An export is the org as it was, says how complete it is, and shows nothing unknown as null."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from cdc.errors import BadArgument
from cdc.replay.export import ExportOrder, export
from tests.unit.answer import recorded
from tests.unit.answer.told import MINUTE, A, B, Told
from tests.unit.replay.test_replay_images import asking

C = "001000000000003AAA"


@pytest.fixture
def reader() -> duckdb.DuckDBPyConnection:
    told = Told()
    text = 'two\nlines, "quoted" — é'
    told.event("CREATE", 1, A, Name=text, CloseDate="2026-11-23", BillingAddress__City=None)
    told.event("CREATE", 1, B, Name="b", CloseDate=None, BillingAddress__City="Oslo")
    told.event("CREATE", 1, C, Name="c", CloseDate=None, BillingAddress__City=None)
    told.event("UPDATE", 2, B, Name=...)
    told.event("DELETE", 3, C)
    told.event("UPDATE", 9, A, Name="later")
    connection = told.opened()
    described = [
        {"name": "Id", "path": "Id", "type": "id"},
        {"name": "Name", "path": "Name", "type": "string"},
        {"name": "CloseDate", "path": "CloseDate", "type": "date"},
        {"name": "BillingCity", "path": "BillingAddress.City", "type": "string"},
    ]
    recorded.insert(
        connection, "descriptions", [{"entity": "Account", "at_seq": 0, "fields": json.dumps(described)}]
    )
    return connection


def exported(reader: duckdb.DuckDBPyConnection, folder: Path, **more: Any) -> dict[str, Any]:
    at = recorded.at(5 * MINUTE).isoformat()
    return export(asking(reader), "acme", ExportOrder(folder, {"at": at}, ("Account",), **more))


def test_each_entity_is_a_csv_with_the_names_of_queries(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    exported(reader, tmp_path / "out")
    with (tmp_path / "out" / "Account.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"Id": A, "Name": 'two\nlines, "quoted" — é', "CloseDate": "2026-11-23", "BillingCity": ""},
        {"Id": B, "Name": "", "CloseDate": "", "BillingCity": "Oslo"},
    ]


def test_what_is_not_known_is_named_and_makes_the_manifest_incomplete(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    manifest = exported(reader, tmp_path / "out")
    unknown = (tmp_path / "out" / "Account.unknown.csv").read_text().splitlines()
    assert unknown == ["Id,Field", f"{B},Name"]
    [account] = manifest["entities"]
    assert (account["rows"], account["complete_rows"], account["unknown_cells"], account["deleted"]) == (
        2,
        1,
        1,
        1,
    )
    assert not manifest["complete"]
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert written == manifest
    assert account["sha256"] == hashlib.sha256((tmp_path / "out" / "Account.csv").read_bytes()).hexdigest()


def test_a_null_can_be_written_so_that_it_is_told_from_unknown(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    exported(reader, tmp_path / "out", null="#N/A")
    lines = (tmp_path / "out" / "Account.csv").read_text().splitlines()
    assert lines[-1] == f"{B},,#N/A,Oslo"


def test_parquet_has_types_and_names_what_is_not_known(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    exported(reader, tmp_path / "out", form="parquet", deleted=True)
    rows = pq.read_table(tmp_path / "out" / "Account.parquet").to_pylist()
    assert [(r["Id"], r["CloseDate"], r["_unknown"]) for r in rows] == [
        (A, date(2026, 11, 23), []),
        (B, None, ["Name"]),
        (C, None, []),
    ]


def test_a_folder_that_holds_something_is_left_as_it_is(
    reader: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(BadArgument, match="not empty"):
        exported(reader, tmp_path)
