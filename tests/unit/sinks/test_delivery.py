"""Alerts to a sink: in order, again until taken, under the same id, and not again after a restart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import BadArgument, RetryLater
from cdc.ports.clock import Clock
from connectors.sinks.delivery import RETRY_MAX_S, Delivery
from tests.unit.sinks.test_terminal import ALERT


@dataclass
class Kept:
    """A sink that keeps what it is given, and fails as often as it is told to."""

    name: str = "kept"
    fails: int = 0
    refuses: bool = False
    got: list[tuple[str, int]] = field(default_factory=list)

    async def deliver(self, alert: Mapping[str, Any]) -> None:
        if self.refuses:
            raise BadArgument("no")
        if self.fails:
            self.fails -= 1
            raise RetryLater("not now")
        self.got.append((alert["alert_id"], alert["version"]))

    async def close(self) -> None:
        return


@dataclass
class Pauses:
    """Time that passes at once."""

    taken: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)

    def clock(self) -> Clock:
        return Clock(sleep=self.sleep)


def version(alert_id: str, number: int, state: str = "open") -> dict[str, Any]:
    return {**ALERT, "alert_id": alert_id, "version": number, "state": state}


def newest(*alerts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {alert["alert_id"]: alert for alert in alerts}


def opened(sink: Kept, folder: Path, pauses: Pauses | None = None) -> Delivery:
    delivery = Delivery(sink, folder / "positions", (pauses or Pauses()).clock())
    delivery.open()
    return delivery


async def test_a_new_sink_is_told_what_is_open_and_not_what_was_over(tmp_path: Path) -> None:
    sink = Kept()
    await opened(sink, tmp_path).catch_up(newest(version("old", 4, "closed"), version("now", 2)))
    assert sink.got == [("now", 2)]


async def test_after_a_restart_only_what_was_not_taken_comes(tmp_path: Path) -> None:
    first = Kept()
    delivery = opened(first, tmp_path)
    await delivery.catch_up({})
    await delivery.take(version("a", 1))
    await delivery.take(version("a", 2))
    second = Kept()
    await opened(second, tmp_path).catch_up(newest(version("a", 3), version("b", 1, "closed")))
    assert second.got == [("a", 3), ("b", 1)]


async def test_a_sink_that_is_down_gets_everything_later_in_order(tmp_path: Path) -> None:
    sink, pauses = Kept(fails=12), Pauses()
    delivery = opened(sink, tmp_path, pauses)
    await delivery.catch_up({})
    for number in (1, 2, 3):
        await delivery.take(version("a", number))
    assert sink.got == [("a", 1), ("a", 2), ("a", 3)]
    assert pauses.taken[:4] == [1, 2, 4, 8]
    assert max(pauses.taken) == RETRY_MAX_S


async def test_a_version_the_sink_refuses_for_good_does_not_hold_back_the_others(tmp_path: Path) -> None:
    sink, told = Kept(refuses=True), []
    delivery = Delivery(
        sink, tmp_path / "p", Pauses().clock(), lambda name, error: told.append((name, str(error)))
    )
    delivery.open()
    await delivery.catch_up({})
    await delivery.take(version("a", 1))
    sink.refuses = False
    await delivery.take(version("a", 2))
    assert sink.got == [("a", 2)]
    assert told == [("kept", "no.")]


async def test_the_same_version_twice_is_one_delivery(tmp_path: Path) -> None:
    sink = Kept()
    delivery = opened(sink, tmp_path)
    await delivery.catch_up({})
    await delivery.take(version("a", 1))
    await delivery.take(version("a", 1))
    assert sink.got == [("a", 1)]


def test_a_position_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "positions").write_text("{cut")
    with pytest.raises(BadArgument, match="remove the file"):
        opened(Kept(), tmp_path)


async def test_the_position_is_whole_at_any_moment(tmp_path: Path) -> None:
    delivery = opened(Kept(), tmp_path)
    await delivery.catch_up({})
    await delivery.take(version("a", 7))
    assert json.loads((tmp_path / "positions").read_text()) == {"a": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["positions"]
