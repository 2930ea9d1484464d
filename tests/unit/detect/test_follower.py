"""The detector behind the log: its checkpoint, its ticks, and alerts published twice alike after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from cdc.detect.reader import DetectorFollower
from cdc.errors import BadArgument
from cdc.ports.clock import Clock
from cdc.ports.columns import CHANGE_SCHEMA, FIELD_SCHEMA, PLATFORM_EVENT_SCHEMA, ColumnBatch
from cdc.ports.log import Checkpoint, LogRecord
from cdc.ports.types import Ordinal
from schemas import own
from tests.unit.detect.weeks import BEGIN, FLOW, HOUR, MINUTE, Row, SmallOrg


def columns(rows: list[Row], first: int, control: Sequence[LogRecord] = ()) -> ColumnBatch:
    changes, fields = [], []
    for at, row in enumerate(rows):
        plain = {
            "ordinal": first + at,
            "source": "pubsub",
            "received_at": row["committed_at"],
            "diff_fields": [],
            "sequence_number": 1,
        }
        changes.append({**{name: row.get(name) for name in CHANGE_SCHEMA.names}, **plain})
        for name in (*row["values"], *row["nulled_fields"]):
            fields.append({"row": at, "field": name, "value": row["values"].get(name), "known": True})
    last = first + len(rows) - 1
    return ColumnBatch(
        changes=pa.Table.from_pylist(changes, CHANGE_SCHEMA),
        fields=pa.Table.from_pylist(fields, FIELD_SCHEMA),
        platform_events=pa.Table.from_pylist([], PLATFORM_EVENT_SCHEMA),
        control=control,
        bad=(),
        checkpoint=Checkpoint({"all": last}, Ordinal(last)),
    )


def runaway() -> list[Row]:
    org = SmallOrg(1)
    return org.bulk("Contact", org.some("Contact", 600), BEGIN, "005X", FLOW, lambda: {"Phone": None})


def versions(published: list[LogRecord]) -> dict[tuple[str, int], LogRecord]:
    return {(r.key, own.decode("alert", r.value)["version"]): r for r in published}


def positions(passed_to: int, ordinal: int) -> LogRecord:
    channel = {
        "channel": "/data/ChangeEvents",
        "replay_id": b"1",
        "beyond": [],
        "passed_to": passed_to,
        "stored_at": 0,
        "live_from": 0,
    }
    value = own.encode("positions", {"org": "acme", "next_ordinal": ordinal + 1, "channels": [channel]})
    return LogRecord("positions", "acme", value, ordinal)


def test_an_alert_is_published_framed_with_its_id_as_key(tmp_path: Path) -> None:
    published: list[LogRecord] = []
    follower = DetectorFollower("acme", tmp_path / "state", published.extend)
    follower.take(columns(runaway(), 1))
    assert follower.checkpoint == Checkpoint({"all": 600}, Ordinal(600))
    (first, *_) = published
    alert = own.decode("alert", first.value)
    page = next(a for r in published if (a := own.decode("alert", r.value))["severity"] == "page")
    assert (first.topic, first.key, alert["state"]) == ("alerts", alert["alert_id"], "open")
    assert page["at_ordinal"] == 200
    assert page["next"] == "cdc state Contact --before 1"


def test_after_a_crash_the_same_versions_are_published_again(tmp_path: Path) -> None:
    rows, published = runaway(), list[LogRecord]()
    first = DetectorFollower("acme", tmp_path / "state", published.extend)
    first.take(columns(rows[:150], 1))
    first.close()
    crashed = DetectorFollower("acme", tmp_path / "state", published.extend)
    crashed.take(columns(rows[150:], 151))
    before = versions(published)
    again = DetectorFollower("acme", tmp_path / "state", published.extend)
    assert again.checkpoint.ordinal == 150
    for start in range(150, 600, 90):
        again.take(columns(rows[start : start + 90], start + 1))
    assert versions(published) == before
    assert len(published) > len(before)


def test_the_checkpoint_is_written_once_a_minute_and_at_close(tmp_path: Path) -> None:
    now, path = [0.0], tmp_path / "state"
    clock = Clock(monotonic_s=lambda: now[0])
    follower = DetectorFollower("acme", path, lambda records: None, clock=clock)
    follower.take(columns(runaway()[:1], 1))
    assert not path.exists()
    now[0] = 61.0
    follower.take(columns(runaway()[1:2], 2))
    assert path.exists()
    follower.take(columns(runaway()[2:3], 3))
    assert DetectorFollower("acme", path, lambda records: None).checkpoint.ordinal == 2
    follower.close()
    assert DetectorFollower("acme", path, lambda records: None).checkpoint.ordinal == 3


def test_a_batch_that_failed_half_way_is_not_in_the_file(tmp_path: Path) -> None:
    def refuse(records: Sequence[LogRecord]) -> None:
        raise OSError("the log is away")

    follower = DetectorFollower("acme", tmp_path / "state", refuse)
    follower.take(columns(runaway()[:50], 1))
    with pytest.raises(OSError, match="away"):
        follower.take(columns(runaway()[50:], 51))
    follower.close()
    assert not (tmp_path / "state").exists()


def test_positions_of_a_quiet_org_close_what_is_over(tmp_path: Path) -> None:
    published: list[LogRecord] = []
    follower = DetectorFollower("acme", tmp_path / "state", published.extend)
    rows = runaway()
    follower.take(columns(rows, 1))
    last = max(r["committed_at"] for r in rows)
    follower.take(columns([], 601, [positions(last + 14 * MINUTE, 600)]))
    assert own.decode("alert", published[-1].value)["state"] != "closed"
    follower.take(columns([], 601, [positions(last + 121 * MINUTE, 600)]))
    assert own.decode("alert", published[-1].value)["state"] == "closed"


def test_positions_stand_in_their_place_among_the_changes(tmp_path: Path) -> None:
    rows = runaway()
    later = [{**row, "committed_at": row["committed_at"] + HOUR} for row in rows]
    ticks = [positions(rows[-1]["committed_at"] + 20 * MINUTE, 600)]
    together: list[LogRecord] = []
    DetectorFollower("acme", tmp_path / "a", together.extend).take(columns([*rows, *later], 1, ticks))
    apart: list[LogRecord] = []
    follower = DetectorFollower("acme", tmp_path / "b", apart.extend)
    follower.take(columns(rows, 1, ticks))
    follower.take(columns(later, 601))
    assert together == apart


def test_an_acknowledgement_comes_through_the_log(tmp_path: Path) -> None:
    published: list[LogRecord] = []
    follower = DetectorFollower("acme", tmp_path / "state", published.extend)
    follower.take(columns(runaway(), 1))
    said = own.encode("decision", {"kind": "ack", "at": BEGIN, "alert_id": published[0].key, "by": "005A"})
    follower.take(columns([], 601, [LogRecord("decisions", "", said)]))
    (episode,) = follower.detector._open.values()
    assert episode.acknowledged


def test_the_state_of_another_org_is_refused(tmp_path: Path) -> None:
    DetectorFollower("acme", tmp_path / "state", lambda records: None).save()
    with pytest.raises(BadArgument, match="of the org acme, not of globex"):
        DetectorFollower("globex", tmp_path / "state", lambda records: None)
