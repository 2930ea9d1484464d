"""A record that the store refuses is put aside by itself; everything around it goes in, in one transaction."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import schemas.own as own
from cdc.errors import StopProcess
from cdc.journal.journal import DuckJournal
from cdc.journal.poison import PUT_ASIDE_MAX
from cdc.ports.columns import Bad
from cdc.ports.log import LogRecord
from tests.unit.journal.batches import CHANNEL, T0, Change, alert, batch, position, record_id
from tests.unit.journal.held import ask, commit, opened

NO_KIND = "NOT A KIND"
"""Of a change; the store's kinds are an enumeration. The decoder never makes such a one."""


def change(ordinal: int, *, refused: bool = False) -> Change:
    kind = NO_KIND if refused else "UPDATE"
    return Change(ordinal, ordinal % 7, kind, {"Name": f"n{ordinal}"})


def event(ordinal: int, *, refused: bool = False) -> dict[str, Any]:
    """A table that wants a name refuses an event without one."""
    told = {"event_id": f"p{ordinal}", "channel": "/event/Order__e", "payload": "{}"}
    return {"ordinal": ordinal, "name": None if refused else "Order__e", "created_at": T0, **told}


def held_ordinals(journal: DuckJournal) -> list[int]:
    tables = ("hot_changes", "platform_events", "quarantine")
    return sorted(seq for t in tables for (seq,) in ask(journal, f"SELECT seq FROM store.{t}"))


def put_aside(journal: DuckJournal) -> list[int]:
    return [seq for (seq,) in ask(journal, "SELECT seq FROM store.quarantine ORDER BY seq")]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_refused_is_found_wherever_it_stands_and_the_rest_is_held(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    ordinals = list(range(1, draw.randint(2, 60)))
    refused = set(draw.sample(ordinals, min(len(ordinals), draw.randint(1, 4))))
    events = {n for n in ordinals if draw.random() < 0.3}
    told: list[Bad] = []
    with opened(tmp_path, on_put_aside=told.append) as journal:
        commit(
            journal,
            batch(
                [change(n, refused=n in refused) for n in ordinals if n not in events],
                platform_events=[event(n, refused=n in refused) for n in ordinals if n in events],
                control=[position(n, T0 + n) for n in ordinals if n % 5 == 0],
            ),
            batch([change(len(ordinals) + 1)]),
        )
        assert held_ordinals(journal) == [*ordinals, len(ordinals) + 1]
        assert put_aside(journal) == sorted(refused) == [one.record.ordinal for one in told]
        fields = ask(journal, "SELECT seq, value FROM store.hot_fields ORDER BY seq")
        kept = sorted({*ordinals, len(ordinals) + 1} - refused - events)
        assert fields == [(n, f"n{n}") for n in kept]


def test_its_bytes_are_kept_out_of_the_log_and_its_record_is_unknown_until_it_is_read_again(
    tmp_path: Path,
) -> None:
    requested: list[dict[str, Any]] = []
    topic = "AccountChangeEvent"
    record = LogRecord(topic, record_id(2), b"\xc3\x01body", 2, T0, CHANNEL, "event2", "00")
    refused = batch([change(n, refused=n == 2) for n in (1, 2, 3)])
    with opened(
        tmp_path, on_requests=requested.extend, raw=lambda after, ordinal: record if ordinal == 2 else None
    ) as journal:
        commit(journal, refused)
        [(payload, reason, entity, ids)] = ask(
            journal, "SELECT payload, reason, entity, record_ids FROM store.quarantine"
        )
        assert (payload, entity, ids) == (b"\xc3\x01body", "Account", [record_id(2)])
        assert reason.startswith("the store refuses it: ConversionException")
        assert NO_KIND not in reason  # what the store quotes may be somebody's
        [(status, who)] = ask(journal, "SELECT status, record_id FROM coverage WHERE record_id IS NOT NULL")
        assert (status, who) == ("unknown", record_id(2))
    assert [(job["kind"], job["record_ids"]) for job in requested] == [("reread", [record_id(2)])]


def test_a_control_record_that_is_refused_costs_itself_only(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(
            journal,
            batch(
                [change(1), change(2)],
                control=[position(1, T0), alert("a1", 2**40), alert("a2", 1), position(2, T0 + 5)],
            ),
        )
        assert ask(journal, "SELECT alert_id FROM alerts") == [("a2",)]
        [(payload,)] = ask(journal, "SELECT payload FROM store.quarantine")
        assert own.decode("alert", payload)["alert_id"] == "a1"
        assert journal.checkpoint.ordinal == 2
        assert ask(journal, "SELECT epoch_ms(passed_to) FROM store.channels") == [(T0 + 5,)]


def test_several_batches_in_one_transaction_cost_only_what_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        done = [journal.commit(batch([change(n), change(n + 1, refused=n == 5)])) for n in range(1, 20, 2)]
        assert [one.result(30).ordinal for one in done][-1] == 20
        assert put_aside(journal) == [6]


def test_a_store_that_refuses_everything_refuses_something_else_than_records(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        many = batch([change(n, refused=True) for n in range(1, PUT_ASIDE_MAX + 5)])
        with pytest.raises(StopProcess, match="the journal failed"):
            journal.commit(many).result(60)
        assert put_aside(journal) == []


def test_what_is_no_fault_of_a_record_ends_the_writing_as_before(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, pytest.raises(StopProcess, match="not in the log's batch"):
        journal.commit(batch([change(1), change(3)])).result(30)
