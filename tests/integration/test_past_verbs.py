"""Verbs about the past as a person runs them: beside a running journal and without, into files, against the live org."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdc.answer.tables import honesty_of
from cdc.serve.client import ask_running, table_of_running
from cdc.serve.questions import QUESTIONS
from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("past"), records=300, days=0.2) as one:
        yield one


def cdc(one: World, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cdc.cli", "--config", str(one.folder / "cdc.toml"), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == code, done.stderr
    return done


def rows(one: World, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cdc(one, *arguments, "--format", "json").stdout)["rows"]
    return found


def test_what_the_org_changed_unseen_shows_against_the_live_org(one: World, tmp_path: Path) -> None:
    [account, *_] = [r for r in rows(one, "state", "Account") if r["status"] == "present"]
    before = account["fields"]["Site"]
    one.org.post(
        "/simulator/commit",
        {
            "changes": [
                {
                    "entity": "Account",
                    "record_id": account["record_id"],
                    "op": "UPDATE",
                    "values": {"Site": "new"},
                }
            ]
        },
    )
    one.caught_up()
    assert not [r for r in rows(one, "diff", "Account", "--to", "org") if r["field"] == "Site"]
    seq = one.run.sql("SELECT max(seq) FROM changes WHERE entity = 'Account'")[0][0]
    found = rows(one, "diff", "Account", account["record_id"], "--from-before", str(seq), "--to", "org")
    [site] = [r for r in found if r["field"] == "Site"]
    assert (site["before"]["value"], site["after"]["value"]) == (before, "new")


def test_answers_go_into_files_that_keep_their_types(one: World, tmp_path: Path) -> None:
    path = tmp_path / "state.parquet"
    cdc(one, "state", "Contact", "--all", "--format", "parquet", "--output", str(path))
    table = pq.read_table(path)
    held = one.run.sql("SELECT count(DISTINCT record_id) FROM changes WHERE entity = 'Contact'")[0][0]
    assert table.num_rows == held
    assert pa.types.is_map(table.schema.field("fields").type)
    assert str(table.schema.field("known_since").type) == "timestamp[us]"
    arrow = tmp_path / "counts.arrow"
    cdc(
        one,
        "query",
        "SELECT kind, count(*) AS n FROM changes GROUP BY ALL",
        "--format",
        "arrow",
        "--output",
        str(arrow),
    )
    with pa.ipc.open_file(arrow) as file:
        assert file.schema.field("n").type == pa.int64()
    cdc(one, "state", "Contact", "--format", "parquet", code=2)
    text = cdc(one, "state", "Contact", "--all", "--format", "csv").stdout
    assert len(list(csv.DictReader(text.splitlines()))) == held


def test_the_api_gives_every_question_as_json_and_as_arrow(one: World) -> None:
    [[record_id]] = one.run.sql(
        "SELECT min(record_id) FROM changes WHERE entity = 'Account' AND source = 'pubsub'"
    )
    for name, given in {
        "state": {"entity": "Account", "where": "Name != null", "maybe": True},
        "states": {"entity": "Account", "ids": [record_id]},
        "record": {"entity": "Account", "record_id": record_id},
        "history": {"entity": "Account", "record_id": record_id},
        "diff": {"entity": "Account", "from": "-1d", "by": ["user", "field"]},
        "tree": {"entity": "Account", "record_id": record_id, "depth": 1},
        "changes": {"entities": ["Account", "Contact"], "limit": 10},
        "replay_plan": {},
        "entities": {},
        "fields": {"entity": "Account"},
        "moment": {"at": "-1h"},
        "query": {"sql": "SELECT 1 AS one"},
    }.items():
        answer = ask_running(one.settings, QUESTIONS[name], given)
        table = table_of_running(one.settings, QUESTIONS[name], given)
        assert answer["rows"], name
        assert table.num_rows == len(answer["rows"]), name
        assert table.column_names == answer["columns"], name
        assert honesty_of(table)["complete"] == answer["complete"], name


def test_strict_is_exit_code_3_and_hostile_words_are_exit_code_2(one: World) -> None:
    wrong = cdc(one, "state", "Account", "--where", "1=1 OR true", code=2).stderr
    assert "the name of a field was expected" in wrong
    cdc(one, "query", "SELECT content FROM read_text('/etc/hostname')", code=2)
    cdc(one, "query", "DELETE FROM changes", code=2)
    before_all = "2001-01-01"
    assert "incomplete" in cdc(one, "state", "Account", "--at", before_all, "--strict", code=3).stderr


def test_a_replay_and_an_export_run_beside_the_recorder_and_agree_with_the_state(
    one: World, tmp_path: Path
) -> None:
    file = tmp_path / "changes.ndjson"
    cdc(one, "replay", "--entity", "Account", "--to", f"ndjson:{file}", "--to", "now")
    last = {}
    for line in file.read_text().splitlines():
        row = json.loads(line)
        last[row["record_id"]] = row["after"]
    states = rows(one, "state", "Account", "--limit", "10000")
    held = {r["record_id"]: {"status": r["status"], "fields": r["fields"]} for r in states}
    assert {k: v for k, v in last.items() if v["status"] == "present"} == {
        k: v for k, v in held.items() if v["status"] == "present"
    }
    cdc(one, "export", "--entity", "Account", "--output", str(tmp_path / "out"))
    with (tmp_path / "out" / "Account.csv").open(newline="", encoding="utf-8") as lines:
        exported = {r["Id"]: r for r in csv.DictReader(lines)}
    present = {k: v["fields"] for k, v in held.items() if v["status"] == "present"}
    assert exported.keys() == present.keys()
    assert all(exported[k]["Name"] == (f["Name"] or "") for k, f in present.items())


def test_without_a_running_journal_the_answers_are_the_same(one: World) -> None:
    asked = ("diff", "Account", "--from", "-1d", "--by", "user,field")
    running = rows(one, *asked)
    assert one.run.stop() == 0
    assert rows(one, *asked) == running
