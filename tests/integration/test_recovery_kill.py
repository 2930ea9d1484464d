"""kill -9 of a restore at random moments: nothing is written twice, nothing made twice, nothing left out."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CDC_TEST_KILLS", "3"))
"""30 in the long form."""


def apply(one: World, plan: dict[str, Any]) -> subprocess.Popen[bytes]:
    """`cdc restore apply` as a process of its own; nothing else has the journal."""
    command = [sys.executable, "-m", "cdc.cli", "--config", str(one.folder / "cdc.toml")]
    command += ["restore", "apply", plan["restore_id"], "--hash", plan["hash"]]
    with (one.folder / "apply.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def writes(one: World) -> list[dict[str, Any]]:
    """Every change the org took from the restore."""
    changes = one.org.lines("/simulator/truth/changes")
    return [c for c in changes if c["client"].startswith("sf-cdc-restore/")]


def wreck(one: World) -> list[str]:
    """400 accounts overwritten; 40 cases deleted and gone from the Recycle Bin. The keys of the transactions."""
    keys = []
    for entity, count, changes in (
        ("Account", 400, {"op": "UPDATE", "values": {"Site": "wrong", "Fax": None}}),
        ("Case", 40, {"op": "DELETE"}),
        ("Case", 40, {"op": "HARD_DELETE"}),
    ):
        rows = one.org.lines(f"/simulator/truth/state?entity={entity}")
        wanted = changes["op"] == "HARD_DELETE"
        ids = [r["record_id"] for r in rows if r["is_deleted"] == wanted][:count]
        for at in range(0, count, 200):
            some = [{"entity": entity, "record_id": i, **changes} for i in ids[at : at + 200]]
            done = one.org.post(
                "/simulator/commit", {"changes": some, "user": "marketing", "client": "Wrecker"}
            )
            keys.append(done["transaction_key"])
    one.caught_up()
    return keys


def test_a_restore_killed_again_and_again_writes_everything_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    with world(tmp_path, more='settle = "1s"') as one:
        keys = wreck(one)
        plan = one.plan(one.open(clients=["Wrecker"], transactions=keys))
        actions = {c["action"] for c in plan["counts"] if c["decision"] == "revert"}
        assert actions == {"UPDATE", "CREATE"}
        assert one.run.stop() == 0
        one.org.post("/simulator/faults", {"name": "slow", "ms": 60})
        for _ in range(KILLS):
            before = len(writes(one))
            process = apply(one, plan)
            while process.poll() is None and len(writes(one)) == before:
                time.sleep(0.02)
            time.sleep(chance.random() * 0.3)
            process.kill()
            process.wait()
        one.org.call("DELETE", "/simulator/faults")
        assert apply(one, plan).wait(120) == 0, (tmp_path / "apply.log").read_text()[-2000:]

        made = Counter(c["record_id"] for c in writes(one) if c["kind"] == "CREATE")
        updated = Counter(
            (c["record_id"], f) for c in writes(one) if c["kind"] == "UPDATE" for f in c["changed"]
        )
        assert len(made) == 40
        assert max(made.values()) == 1
        assert {n for (_, f), n in updated.items() if f in ("Site", "Fax")} == {1}

        one.run.start()
        verdict = one.verify(plan)
        assert verdict["good"], verdict["differs"][:5]
        assert not verdict["strangers"]
