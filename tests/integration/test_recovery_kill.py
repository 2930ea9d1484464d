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


def written(one: World, plan: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    """Every change the org took from a restore, after the change of this index."""
    client = f"sf-cdc-restore/{plan['restore_id']}"
    return [
        c for c in one.org.lines(f"/simulator/truth/changes?after={after}") if c["client"].startswith(client)
    ]


def newest(one: World) -> int:
    """The index of the org's last change."""
    return max((c["index"] for c in one.org.lines("/simulator/truth/changes")), default=0)


def wreck(one: World, value: str) -> list[str]:
    """Accounts overwritten; 40 cases deleted and gone from the Recycle Bin. The keys of the transactions."""
    keys = []
    cases = [
        r["record_id"] for r in one.org.lines("/simulator/truth/state?entity=Case") if not r["is_deleted"]
    ]
    accounts = [
        r["record_id"] for r in one.org.lines("/simulator/truth/state?entity=Account") if not r["is_deleted"]
    ]
    for entity, ids, changes in (
        ("Account", accounts[:600], {"op": "UPDATE", "values": {"Site": value, "Fax": None}}),
        ("Case", cases[:40], {"op": "DELETE"}),
        ("Case", cases[:40], {"op": "HARD_DELETE"}),
    ):
        for at in range(0, len(ids), 200):
            some = [{"entity": entity, "record_id": i, **changes} for i in ids[at : at + 200]]
            done = one.org.post(
                "/simulator/commit", {"changes": some, "user": "marketing", "client": "Wrecker"}
            )
            keys.append(done["transaction_key"])
    one.caught_up()
    return keys


def killed(one: World, plan: dict[str, Any], chance: random.Random) -> bool:
    """One run, killed at a random moment: of its first seconds, or of those around a write. False: it had ended."""
    before = newest(one)
    process = apply(one, plan)
    began_s = time.monotonic()
    if chance.random() < 0.4:
        while process.poll() is None and not written(one, plan, before):
            time.sleep(0.02)
        moment_s = time.monotonic() - began_s + chance.random() * 0.4
    else:
        moment_s = chance.random() * 4
    while process.poll() is None and time.monotonic() - began_s < moment_s:
        time.sleep(0.01)
    was_running = process.poll() is None
    process.kill()
    process.wait()
    return was_running


def test_a_restore_killed_again_and_again_writes_everything_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    kills: list[int] = []
    with world(tmp_path, records=3_000, more='settle = "1s"') as one:
        while len(kills) < KILLS:
            keys = wreck(one, f"wrong {len(kills)}")
            plan = one.plan(one.open(clients=["Wrecker"], transactions=keys))
            actions = {c["action"] for c in plan["counts"] if c["decision"] == "revert"}
            assert actions == {"UPDATE", "CREATE"}
            assert one.run.stop() == 0
            one.org.post("/simulator/faults", {"name": "slow", "ms": 60})
            while len(kills) < KILLS and killed(one, plan, chance):
                kills.append(len(written(one, plan)))
            one.org.call("DELETE", "/simulator/faults")
            assert apply(one, plan).wait(120) == 0, (tmp_path / "apply.log").read_text()[-2000:]

            ours = written(one, plan)
            made = Counter(c["record_id"] for c in ours if c["kind"] == "CREATE")
            updated = Counter(
                (c["record_id"], f) for c in ours if c["kind"] == "UPDATE" for f in c["changed"]
            )
            assert len(made) == 40
            assert max(made.values()) == 1
            assert {n for (_, f), n in updated.items() if f in ("Site", "Fax")} == {1}
            assert len({r for r, f in updated if f == "Site"}) + len(made) == plan["records"]

            one.run.start()
            verdict = one.verify(plan)
            assert verdict["good"], verdict["differs"][:5]
            assert not verdict["strangers"]
    print(
        f"\n{len(kills)} kills of a running restore, after {kills} of {plan['records']} records were written"
    )
