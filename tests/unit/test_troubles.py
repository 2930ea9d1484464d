"""Every class of the error tree: its sentence, its count, its line in `cdc status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdc import errors
from cdc.errors import ActionFailed, CdcError, ChannelStopped, DiskFull, Fenced, LogUnavailable
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.types import Millis
from cdc.troubles import (
    ASKED_WRONG,
    LAST_WORDS_SHOWN_S,
    SHOWN_S,
    Troubles,
    beside,
    last_words,
    say_last_words,
    shown,
)

STATUS: dict[str, Any] = {
    "columns": ["part", "name", "state", "as_of", "detail"],
    "rows": [["journal", "acme", "recorded", None, "ordinal 7"]],
    "complete": True,
    "reasons": [],
}


def classes() -> list[type[CdcError]]:
    """The tree as it is, and as the page at the top of the module draws it."""
    found: list[type[CdcError]] = []
    waiting: list[type[CdcError]] = [CdcError]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one.__module__ == errors.__name__:
            found.append(one)
    return sorted(found, key=lambda c: c.__name__)


class Hands:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_795_428_120_000
        self.clock = Clock(lambda: Millis(self.now_ms))


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    drawn = errors.__doc__ or ""
    assert [c.__name__ for c in classes() if c.__name__ not in drawn] == []


@pytest.mark.parametrize("kind", classes(), ids=lambda c: c.__name__)
def test_each_class_has_a_sentence_a_count_and_a_line_in_status(kind: type[CdcError]) -> None:
    error = kind("something happened", where="/data/ChangeEvents", do="do this about it")
    whole = "something happened (/data/ChangeEvents): do this about it."
    assert error.sentence() == ("something happened." if kind is ActionFailed else whole)
    metrics = Metrics()
    troubles = Troubles(metrics, Hands().clock)
    troubles.note(error)
    assert metrics.registry.get_sample_value("sf_cdc_errors_total", {"kind": kind.__name__}) == 1
    answer = shown(STATUS, troubles.listed())
    assert answer["rows"][-1] == [
        "trouble", kind.__name__, "met", "2026-11-23T10:02:00.000Z", error.sentence(),
    ]  # fmt: skip
    asked_wrong = kind.__name__ in ASKED_WRONG
    assert answer["complete"] == asked_wrong
    assert (error.sentence() in answer["reasons"]) != asked_wrong


def test_a_trouble_that_comes_again_is_one_line_with_how_often_and_its_last_sentence() -> None:
    hands = Hands()
    troubles = Troubles(Metrics(), hands.clock)
    for n in range(3):
        hands.now_ms += 1000
        troubles.note(LogUnavailable(f"the log does not answer, attempt {n}"))
    troubles.note(ChannelStopped("no such channel"))
    first, second = troubles.listed()
    assert {first.kind, second.kind} == {"LogUnavailable", "ChannelStopped"}
    (row,) = [r for r in shown(STATUS, troubles.listed())["rows"] if r[1] == "LogUnavailable"]
    assert row[4] == "the log does not answer, attempt 2. (3 times)"


def test_what_has_not_come_again_for_a_while_is_no_news() -> None:
    hands = Hands()
    troubles = Troubles(Metrics(), hands.clock)
    troubles.note(LogUnavailable("the log does not answer"))
    hands.now_ms += int(SHOWN_S * 1000) + 1
    assert troubles.listed() == []
    assert shown(STATUS, troubles.listed()) == STATUS


def test_what_ended_a_process_is_found_by_the_next_and_a_clean_end_takes_it_away(tmp_path: Path) -> None:
    journal, hands = str(tmp_path / "journal.duckdb"), Hands()
    say_last_words(journal, Fenced("another instance owns this org's log now"), hands.clock.wall_ms)
    ended = last_words(journal, hands.clock.wall_ms)
    assert ended is not None
    answer = shown(STATUS, [], ended)
    assert answer["rows"][-1][:3] == ["ended", "Fenced", "the last run ended"]
    assert answer["reasons"] == ["the last run ended: another instance owns this org's log now."]
    say_last_words(journal, None, hands.clock.wall_ms)
    assert last_words(journal, hands.clock.wall_ms) is None


def test_last_words_are_told_for_a_day_and_a_damaged_file_tells_nothing(tmp_path: Path) -> None:
    journal, hands = str(tmp_path / "journal.duckdb"), Hands()
    say_last_words(journal, DiskFull("no room is left"), hands.clock.wall_ms)
    assert "no room" in json.loads(beside(journal).read_text())["sentence"]
    hands.now_ms += int(LAST_WORDS_SHOWN_S * 1000) + 1
    assert last_words(journal, hands.clock.wall_ms) is None
    beside(journal).write_text("{")
    assert last_words(journal, hands.clock.wall_ms) is None


def test_last_words_that_cannot_be_written_do_not_hide_the_error_itself(tmp_path: Path) -> None:
    say_last_words(
        str(tmp_path / "gone" / "journal.duckdb"), DiskFull("no room is left"), Hands().clock.wall_ms
    )
