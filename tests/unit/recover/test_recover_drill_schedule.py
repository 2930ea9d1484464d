"""Drills by themselves: when the last one is older than the setting, and not again before their time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from cdc import settings as settings_module
from cdc.roles import drill_schedule
from cdc.roles.drill_schedule import keep_drilling
from cdc.settings import Settings
from tests.integration.virtual_clock import VirtualClock

NOW_MS = 1_780_000_000_000
HOUR_S = 3_600.0


class _Journal:
    """A journal that knows when the last drill began."""

    def __init__(self, last_ms: int | None) -> None:
        self.last_ms = last_ms

    def execute(self, _sql: str, given: dict[str, str]) -> _Journal:
        assert given["kind"] in ("simulated", "sandbox")
        return self

    def fetchone(self) -> tuple[int | None]:
        return (self.last_ms,)


class _Watch:
    """The schedule under a clock of its own. `keeps`: whether a drill leaves its trace in the journal."""

    def __init__(self, settings: Settings, last_ms: int | None, *, keeps: bool = True) -> None:
        self.time, self.journal = VirtualClock(lambda: NOW_MS), _Journal(last_ms)
        self.begun: list[list[str]] = []
        self.clock = self.time.clock()

        async def run(arguments: Sequence[str]) -> int:
            self.begun.append(list(arguments))
            if keeps:
                self.journal.last_ms = self.clock.wall_ms()
            return 0

        self.task = asyncio.create_task(
            keep_drilling(settings, "a.toml", lambda: nullcontext(self.journal), self.clock, run)
        )

    async def _asleep(self) -> None:
        """Until the schedule has looked: it asks the journal in a thread, which a busy machine makes wait."""
        while not self.time.is_waited_for:
            await asyncio.sleep(0.001)

    async def after(self, hours: float) -> int:
        """How many drills have been begun after so many hours more."""
        until_s = self.time.now_s + hours * HOUR_S
        while self.time.now_s < until_s:
            await self._asleep()
            self.time._move(drill_schedule.LOOK_EVERY_S)
        await self._asleep()
        return len(self.begun)


def settings_of(tmp_path: Path, every: str, on: str = "simulated") -> Settings:
    text = '[org]\nalias = "a"\n[salesforce]\nlogin_url = "https://a.my.salesforce.com"\n'
    (tmp_path / "a.toml").write_text(f'{text}client_id = "x"\n[drill]\nevery = "{every}"\non = "{on}"\n')
    return settings_module.load(tmp_path / "a.toml", {"CDC__SALESFORCE__CLIENT_SECRET": "x"})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look every ten minutes, so that a day is 144 of them."""
    monkeypatch.setattr(drill_schedule, "LOOK_EVERY_S", 600.0)


@pytest.mark.usefixtures("quick")
async def test_a_drill_is_begun_when_the_last_one_is_too_old_and_not_before(tmp_path: Path) -> None:
    watch = _Watch(settings_of(tmp_path, "24h"), NOW_MS - 20 * 3_600_000)
    assert await watch.after(3.5) == 0
    assert await watch.after(1) == 1
    assert watch.begun == [["--config", "a.toml", "drill"]]
    assert await watch.after(22) == 1
    assert await watch.after(3) == 2
    watch.task.cancel()


@pytest.mark.usefixtures("quick")
async def test_an_org_that_was_never_rehearsed_is_rehearsed_at_once(tmp_path: Path) -> None:
    watch = _Watch(settings_of(tmp_path, "30d", "sandbox"), None)
    assert await watch.after(0.5) == 1
    assert watch.begun == [["--config", "a.toml", "drill", "--sandbox"]]
    watch.task.cancel()


@pytest.mark.usefixtures("quick")
async def test_a_drill_that_cannot_begin_is_tried_once_an_hour(tmp_path: Path) -> None:
    watch = _Watch(settings_of(tmp_path, "30d"), None, keeps=False)
    assert 3 <= await watch.after(4.5) <= 5
    watch.task.cancel()


async def test_without_the_setting_nothing_is_begun(tmp_path: Path) -> None:
    watch = _Watch(settings_of(tmp_path, ""), None)
    await asyncio.wait_for(watch.task, 5)
    assert watch.begun == []
