"""A plan is a file known by its hash, cut into the same batches however often it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cdc.errors import BadArgument, NotFound
from cdc.recover.planfile import ROWS, Plan, checked, load_plan, save_plan
from cdc.recover.work import batches, records_of


def plan_of(folder: Path, records: int) -> Plan:
    rows: list[dict[str, Any]] = [
        {
            "step": 2000,
            "entity": "Account",
            "record_id": f"001{n:012d}AAA",
            "action": "UPDATE",
            "field": field,
            "before": "good",
            "bad": "bad",
            "now": "bad",
            "decision": "revert" if n % 10 else "conflict",
            "reason": "",
        }
        for n in range(records)
        for field in ("Rating", "Site")
    ]
    return save_plan(folder, pa.Table.from_pylist(rows, schema=ROWS), {"restore_id": "r-1"})


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 50)
    again = load_plan(plan.path)
    assert (again.rows, again.facts, again.hash) == (plan.rows, plan.facts, plan.hash)


def test_a_changed_file_has_another_hash(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 50)
    other = plan_of(tmp_path / "other", 51)
    assert plan.hash != other.hash


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r-1.parquet").write_bytes(b"PAR1 not quite")
    with pytest.raises(BadArgument, match="this file is no plan"):
        load_plan(tmp_path / "r-1.parquet")
    with pytest.raises(NotFound, match="is not there"):
        load_plan(tmp_path / "r-2.parquet")


@pytest.mark.parametrize("typed", ["", "abc", "0" * 64])
def test_nothing_but_the_hash_confirms(tmp_path: Path, typed: str) -> None:
    with pytest.raises(BadArgument, match="nothing was written"):
        checked(plan_of(tmp_path, 5), typed)


def test_the_first_characters_of_the_hash_confirm(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 5)
    checked(plan, plan.token)
    checked(plan, f" {plan.hash.upper()} ")


def test_a_plan_is_cut_into_the_same_batches_every_time(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 1000)
    cut = list(batches(plan, 10_000))
    assert cut == list(batches(load_plan(plan.path), 10_000))
    assert [len(b.items) for b in cut] == [180] * 5
    assert sum(len(b.items) for b in cut) == records_of(plan) == 900
    assert {tuple(i.fields) for b in cut for i in b.items} == {("Rating", "Site")}
    assert [b.by_job for b in batches(plan, 900)] == [True]
