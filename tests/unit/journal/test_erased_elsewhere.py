"""Files beside the journal lose what is erased."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cdc.detect.state import pack, unpack
from cdc.detect.tallies import TEXT_BYTES
from cdc.roles.forgetting import forget_in_state, forget_plans

PERSON = "003000000000001AAA"
LONG = "a value longer than what the detector keeps of it, " * 3


def test_the_detectors_state_loses_values_also_where_it_keeps_their_beginning(tmp_path: Path) -> None:
    path = tmp_path / "detect.state"
    cut = LONG.encode()[:TEXT_BYTES].decode("latin-1")
    path.write_bytes(pack({"tallies": [[1, 2, "Ottilie Quark"], [3, 4, cut], [5, 6, "Basel"]]}))
    assert forget_in_state(path, [PERSON], ["Ottilie Quark", LONG]) == 1
    assert unpack(path.read_bytes()) == {"tallies": [[1, 2, "[erased]"], [3, 4, "[erased]"], [5, 6, "Basel"]]}
    assert forget_in_state(path, [PERSON], ["Ottilie Quark", LONG]) == 0


def test_a_plan_that_names_the_person_goes_and_others_stay(tmp_path: Path) -> None:
    paths = []
    for name, record_id in (("theirs", PERSON), ("other", "003000000000002AAA")):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"record_id": [record_id], "before": ["x"]}), path)
        paths.append(str(path))
    assert forget_plans([*paths, str(tmp_path / "gone")], [PERSON]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["other.parquet"]
