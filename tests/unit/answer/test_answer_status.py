"""`cdc status` tells a quiet channel from a dead one, and says what each channel is waiting for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cdc.answer import questions
from tests.unit.answer import recorded

NOW = datetime(2026, 11, 23, 10, 2)


def status(changes: Sequence[tuple[datetime, datetime]] = (), **channel: Any) -> tuple[str, str, list[str]]:
    """State, detail, reasons of a channel that was heard ten seconds ago and is live; `changes` of it are times of
    commit and of coming here."""
    ago = timedelta(seconds=10)
    row = {
        "channel": recorded.CHANNEL,
        "org": recorded.ORG,
        "at_seq": 0,
        "replay_id": b"0123456789",
        "passed_to": NOW - ago,
        "max_committed": NOW - ago,
        "live_from": NOW - timedelta(days=1),
        "stored_at": NOW - ago,
        "heard_at": NOW - ago,
        "standing": "live",
        "trouble": "",
    }
    connection = recorded.opened()
    recorded.insert(connection, "channels", [{**row, **channel}])
    for seq, (committed, received) in enumerate(changes, 1):
        connection.execute(
            "INSERT INTO store.hot_changes BY NAME SELECT ? AS seq, 'acme' AS org, 'Account' AS entity, '001' AS record_id,"
            " 'UPDATE' AS kind, ?::TIMESTAMP AS effective_at, 1 AS fold_seq, 0 AS fold_rank, ? AS channel,"
            " ?::TIMESTAMP AS received_at",
            [seq, committed, recorded.CHANNEL, received],
        )
    answer = questions.status(connection, NOW)
    (found,) = [r for r in answer.rows if r[0] == "channel"]
    return found[2], found[4], list(answer.reasons)


def test_a_channel_with_news_is_live_and_one_that_speaks_without_any_is_quiet() -> None:
    assert status()[0] == "live"
    state, _, reasons = status(max_committed=NOW - timedelta(hours=5))
    assert (state, reasons) == ("quiet", [])


def test_a_channel_that_says_nothing_is_dead_however_quiet_it_was() -> None:
    state, detail, reasons = status(heard_at=NOW - timedelta(seconds=301))
    assert state == "dead"
    assert "is the recorder running?" in detail
    assert "dead" in reasons[0]


def test_trouble_is_told_in_its_own_sentence() -> None:
    for standing, said in (
        ("retrying", "retrying"),
        ("stopped", "stopped"),
        ("limited", "delivery limit reached"),
    ):
        state, detail, reasons = status(standing=standing, trouble="the org has no such channel.")
        assert state == said
        assert "the org has no such channel" in detail
        assert "the org has no such channel" in reasons[0]


def test_how_long_the_stored_position_is_good_for_is_told_in_hours() -> None:
    assert "position good for 71 h" in status()[1]
    assert "position good for 2 h" in status(stored_at=NOW - timedelta(hours=70))[1]
    assert "position good for 0 h" in status(stored_at=NOW - timedelta(hours=80))[1]


def test_a_channel_no_longer_configured_is_off_and_no_reason() -> None:
    state, _, reasons = status(standing="off", heard_at=NOW - timedelta(days=9), live_from=None)
    assert (state, reasons) == ("off", [])


def test_a_channel_without_a_first_position_is_not_live_yet() -> None:
    assert status(heard_at=None, live_from=None, replay_id=None, standing="opening")[0] == "not live yet"
    assert status(live_from=None)[0] == "not live yet"


def test_a_channel_that_is_behind_says_how_far_and_how_long_it_will_take() -> None:
    """Three hours behind, and an hour of the org's time taken in the last half minute: a minute and a half are left."""
    behind = {"stored_at": NOW - timedelta(hours=3, seconds=10), "max_committed": NOW - timedelta(hours=3)}
    hour = (
        (NOW - timedelta(hours=4), NOW - timedelta(seconds=40)),
        (
            NOW - timedelta(hours=3),
            NOW - timedelta(seconds=10),
        ),
    )
    assert "behind the org by 3 h, about 2 min left at this pace" in status(hour, **behind)[1]
    assert "behind" not in status(hour)[1]
    assert "behind the org by 3 h; " in status(**behind)[1]


def test_a_channel_that_falls_back_further_says_so() -> None:
    behind = {"stored_at": NOW - timedelta(hours=3, seconds=10), "max_committed": NOW - timedelta(hours=3)}
    slow = (
        (NOW - timedelta(hours=3, seconds=20), NOW - timedelta(seconds=40)),
        (
            NOW - timedelta(hours=3),
            NOW - timedelta(seconds=10),
        ),
    )
    assert "behind the org by 3 h, and not catching up at this pace" in status(slow, **behind)[1]
