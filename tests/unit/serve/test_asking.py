"""A few questions at once, the others in their turn, and none that goes on when the process has to end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from cdc.errors import RetryLater
from cdc.serve import asking
from cdc.serve.asking import QUESTIONS_AT_ONCE_MAX, Asking

ENDLESS = "SELECT sum((a.range * b.range) % 7) FROM range(1000000) a, range(1000000) b"


@contextlib.contextmanager
def reader() -> Iterator[Any]:
    with duckdb.connect() as made:
        yield made


async def test_only_so_many_questions_run_at_a_time_and_all_are_answered() -> None:
    door = Asking(reader)
    now, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(QUESTIONS_AT_ONCE_MAX)

    def answer(held: Any) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        full.wait(60)  # a round goes on only when as many run as may
        with lock:
            now -= 1
        return int(held.execute("SELECT 42").fetchone()[0])

    asked = [door.ask(answer) for _ in range(QUESTIONS_AT_ONCE_MAX * 5)]
    assert set(await asyncio.gather(*asked)) == {42}
    assert most == QUESTIONS_AT_ONCE_MAX
    await door.close()


async def test_beyond_a_bound_of_waiting_questions_one_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "QUESTIONS_WAITING_MAX", 2)
    door = Asking(reader)
    go = threading.Event()
    waiting = [asyncio.ensure_future(door.ask(lambda _: go.wait(60))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RetryLater, match="wait already"):
        await door.ask(lambda _: None)
    go.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await door.ask(lambda _: "a free place") == "a free place"
    await door.close()


async def test_what_runs_when_it_closes_is_interrupted_and_what_waits_is_not_begun() -> None:
    door = Asking(reader)
    begun = threading.Semaphore(0)

    def endless(held: Any) -> Any:
        begun.release()
        while True:  # as a question of many statements goes from one to the next
            held.execute(ENDLESS).fetchall()

    asked = [asyncio.ensure_future(door.ask(endless)) for _ in range(QUESTIONS_AT_ONCE_MAX + 2)]
    for _ in range(QUESTIONS_AT_ONCE_MAX):
        await asyncio.to_thread(begun.acquire)
    await door.close()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, RetryLater | asyncio.CancelledError) for one in ended)
    with pytest.raises(RetryLater, match="being stopped"):
        await door.ask(lambda _: None)


async def test_long_questions_hold_up_no_glance_and_sql_no_question() -> None:
    door = Asking(reader)
    go = threading.Event()
    long = [asyncio.ensure_future(door.ask(lambda _: go.wait(60), "query")) for _ in range(3)]
    assert await door.ask(lambda held: held.execute("SELECT 1").fetchone()) == (1,)
    long += [asyncio.ensure_future(door.ask(lambda _: go.wait(60))) for _ in range(QUESTIONS_AT_ONCE_MAX + 1)]
    assert await door.ask(lambda held: held.execute("SELECT 1").fetchone(), "glance") == (1,)
    assert not any(one.done() for one in long)
    go.set()
    assert all(await asyncio.gather(*long))
    await door.close()


async def test_an_error_of_a_question_is_its_own() -> None:
    door = Asking(reader)
    with pytest.raises(duckdb.CatalogException):
        await door.ask(lambda held: held.execute("FROM nowhere"))
    await door.close()
