"""Alerts on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from connectors.sinks.terminal import TerminalSink, render

ALERT: dict[str, Any] = {
    "alert_id": "a1",
    "version": 1,
    "org": "acme",
    "severity": "page",
    "state": "open",
    "merged_into": None,
    "title": "User 005F without a client set StageName to 'Closed Lost' on 243 Opportunity records in 4 s",
    "first_change_at": 1_790_000_000_000,
    "last_change_at": 1_790_000_004_000,
    "decided_at": 1_790_000_004_000,
    "at_change": 243,
    "at_ordinal": 243,
    "records": 1243,
    "changes": 1243,
    "kinds": {"UPDATE": 1243},
    "actors": [{"user_id": "005F", "user_name": None, "origin": "", "client": "", "share": 1.0}],
    "targets": [
        {
            "entity": "Opportunity",
            "field": "StageName",
            "null_share": 0.0,
            "share": 1.0,
            "top_values": [{"value": "Closed Lost", "share": 1.0}],
        }
    ],
    "transactions": 7,
    "samples": [
        {
            "record_id": "006A",
            "field": "StageName",
            "before": "Proposal",
            "before_known": True,
            "after": "Closed Lost",
        },
        {"record_id": "006B", "field": "StageName", "before": None, "before_known": False, "after": None},
    ],
    "evidence": [{"channel": "D4", "sentence": "StageName got one value", "weight": 1.2}],
    "usual": "this user: at most 3 records in one go",
    "setup_before": None,
    "coverage": "",
    "next": "cdc state Opportunity --before 12",
}


def test_an_alert_is_a_few_lines_with_who_what_before_after_and_the_command() -> None:
    text = render(ALERT)
    assert text.splitlines()[0] == f"PAGE open  {ALERT['title']}"
    for part in ("1,243 records", "7 transactions", "005F", "Opportunity.StageName: 'Closed Lost' 100%"):
        assert part in text
    assert "006A StageName: 'Proposal' -> 'Closed Lost'" in text
    assert "006B StageName: ? -> null" in text
    assert "cdc state Opportunity --before 12" in text
    assert "\033" not in text


def test_times_may_come_as_iso_texts() -> None:
    iso = {
        **ALERT,
        "first_change_at": "2026-11-23T10:02:00.000Z",
        "last_change_at": "2026-11-23T10:03:00.000Z",
    }
    assert "2026-11-23 10:02:00 to 2026-11-23 10:03:00" in render(iso)


def test_values_cannot_steer_the_terminal() -> None:
    hostile = {**ALERT, "title": "x\033[2J\nPAGE", "usual": "\x07"}
    text = render(hostile)
    assert "\033" not in text
    assert "\x07" not in text
    assert text.splitlines()[0] == "PAGE open  x�[2J�PAGE"


async def test_the_same_version_is_delivered_once() -> None:
    stream = io.StringIO()
    sink = TerminalSink(stream)
    await sink.deliver(ALERT)
    once = stream.getvalue()
    await sink.deliver(ALERT)
    assert stream.getvalue() == once
    await sink.deliver({**ALERT, "version": 2, "state": "closed"})
    assert "PAGE closed" in stream.getvalue()
    await sink.close()


@pytest.mark.parametrize("no_color", ["", "1"])
async def test_colours_are_only_for_terminals(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    await TerminalSink(stream).deliver(ALERT)
    assert ("\033[" in stream.getvalue()) == (no_color == "")
