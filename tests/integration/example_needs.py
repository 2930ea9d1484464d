"""What the examples of `cdc VERB --help` need to run, verb by verb; a verb that is not here needs only a recorder.

An example is run as it stands, in a folder with `cdc.toml` and `acme.toml`, beside a recorder of a simulated org. What
stands in it for something of the reader's own (an id, a time, a folder) is replaced by `WORDS`; `needs` prepares more.
A new verb whose example needs more gets a line in `NEEDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cdc.answer.answers import instant
from tests.integration.living import until
from tests.integration.recovering import World

FINISHES, ENDLESS, ALONE = "finishes", "endless", "alone"
"""How an example ends: by itself; when it is stopped; when it is stopped, and with a folder and a port of its own."""

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Need:
    """`more` are arguments put behind the example, `exits` the exit codes that are right.

    An example with an option of `apart` opens the journal by itself: it runs beside a copy.
    """

    ends: str = FINISHES
    prepare: Callable[[Lived], Words] = field(default=lambda _: {})
    more: tuple[str, ...] = ()
    exits: tuple[int, ...] = (0,)
    apart: tuple[str, ...] = ()


@dataclass(slots=True)
class Lived:
    """The world the examples run in, with an incident in it that each may open anew."""

    world: World
    keys: list[str]
    user: str

    @property
    def folder(self) -> Path:
        return self.world.folder

    def incident(self) -> str:
        return self.world.open(transactions=self.keys)

    def plan(self) -> dict[str, Any]:
        return self.world.plan(self.incident())

    def applied(self) -> dict[str, Any]:
        plan = self.world.plan(self.world.open(transactions=[wrecked(self.world)]))
        self.world.apply(plan)
        self.world.verify(plan)
        return plan

    def words(self) -> Words:
        """What stands in examples for the reader's own."""
        sql = self.world.run.sql
        [[account, earliest, latest]] = sql(
            "SELECT min(record_id), min(effective_at), max(effective_at) FROM changes "
            "WHERE entity = 'Account' AND source = 'pubsub' AND kind = 'UPDATE'"
        )
        [[contact]] = sql("SELECT max(record_id) FROM changes WHERE entity = 'Contact'")
        return {
            "001000000000001AAA": account,
            "003000000000001AAA": contact,
            "2026-11-23T10:00:00Z": earliest,
            "2026-11-23T10:02:00Z": latest,
            "005…": self.user,
            "0001a2b3-…": self.keys[0],
            "/mnt/elsewhere": str(self.folder),
        }


def lived_in(world: World) -> Lived:
    """Accounts overwritten by a runaway client."""
    key = wrecked(world)
    [[user]] = world.run.sql(f"SELECT any_value(user_id) FROM changes WHERE transaction_key = '{key}'")
    return Lived(world, [key], user)


_numbers = count(1)
"""No two overwrite with the same: what is so already is no change."""


def wrecked(world: World) -> str:
    """The key of a transaction that overwrote a field of some accounts."""
    rows = world.org.lines("/simulator/truth/state?entity=Account")
    ids = [row["record_id"] for row in rows if not row["is_deleted"]][:10]
    changes = [
        {"entity": "Account", "record_id": i, "op": "UPDATE", "values": {"Site": "wrong"}} for i in ids
    ]
    done = world.org.post("/simulator/commit", {"changes": changes, "user": "marketing", "client": "Wrecker"})
    world.caught_up()
    return str(done["transaction_key"])


def _incident(lived: Lived) -> Words:
    incident = lived.incident()
    return {"i-0a1b2c3d": incident, "ALERT": incident}


def _plan(lived: Lived) -> Words:
    plan = lived.plan()
    return {"r-0123456789": plan["restore_id"], "3f2a…": plan["hash"]}


def _applied(lived: Lived) -> Words:
    plan = lived.applied()
    return {"r-0123456789": plan["restore_id"], "3f2a…": plan["hash"]}


def _day(lived: Lived) -> Words:
    """`day.parquet` as `cdc detect --input` takes it."""
    row = {
        "entity": "Account", "record_id": "001000000000001AAA", "kind": "UPDATE", "committed_at": 1_764_000_000_000,
        "transaction_key": "t", "sequence_number": 1, "user_id": "005000000000001AAA",
        "origin": "com/salesforce/api/rest/66.0", "client": "", "changed_fields": ["Name"], "nulled_fields": [],
        "values": [("Name", "x")], "event_id": "e",
    }  # fmt: skip
    schema = pa.schema([("values", pa.map_(pa.string(), pa.string()))])
    table = pa.table(
        {k: pa.array([v], schema.field("values").type if k == "values" else None) for k, v in row.items()}
    )
    pq.write_table(table, lived.folder / "day.parquet")
    return {}


def _source_read(lived: Lived) -> Words:
    """Source of the set-up has been read, and the moment to go back to is behind that."""
    run = lived.world.run
    until("source is read", lambda: run.rows("setup_state", kind="MetadataComponent", limit=1))
    [[moment]] = run.sql("SELECT max(effective_at) FROM changes WHERE entity = 'MetadataComponent'")
    return {"-1h": moment}


NEEDS: dict[str, Need] = {
    "run": Need(ALONE),
    "capture": Need(ALONE),
    "journal": Need(ALONE),
    "detect": Need(prepare=_day, apart=("--from",)),
    "simulator": Need(ENDLESS, more=("--listen", "127.0.0.1:0", "--pubsub-listen", "127.0.0.1:0")),
    "demo": Need(more=("--days", "2")),
    "bench": Need(more=("--changes", "1000")),
    "alerts": Need(ENDLESS),
    "doctor": Need(exits=(0, 1)),
    "verify": Need(exits=(0, 4)),
    "drill": Need(exits=(0, 1)),  # an org that is no sandbox is refused
    "incident show": Need(prepare=_incident),
    "incident blast": Need(prepare=_incident),
    "incident ack": Need(
        prepare=_incident, exits=(0, 2)
    ),  # one opened by hand teaches nothing, and is refused
    "incident narrow": Need(prepare=_incident),
    "incident widen": Need(prepare=_incident),
    "incident contain": Need(prepare=_incident),
    "incident close": Need(prepare=_incident),
    "setup rollback": Need(prepare=_source_read),
    "restore plan": Need(prepare=_incident),
    "restore show": Need(prepare=_plan),
    "restore apply": Need(prepare=_plan),
    "restore copy": Need(exits=(0, 1)),  # refused without another org in the settings
    "restore resume": Need(prepare=_applied),
    "restore stop": Need(prepare=_applied),
    "restore verify": Need(prepare=_applied),
    "restore undo": Need(prepare=_applied, exits=(0, 1)),  # refused until its own changes have been recorded
}
"""Verb -> what its examples need."""


def replaced(example: str, words: Words) -> str:
    """An example with the reader's own in it; times are written as the org has them."""
    for word, own in sorted(words.items(), key=lambda pair: -len(pair[0])):
        example = example.replace(word, own if isinstance(own, str) else instant(own))
    return example


def examples_in(text: str) -> list[str]:
    """`Example: cdc status`, or `Examples: cdc verify · cdc verify --against-org`."""
    found: list[str] = []
    for line in re.findall(r"Examples?: (cdc .*)", text):
        found += [part.strip().rstrip(".") for part in line.split(" · ") if part.strip().startswith("cdc ")]
    return found
