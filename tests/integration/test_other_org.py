"""Another org behind the same settings, and a log thrown away: `cdc run` stops with a sentence, and mixes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.living import Org, Running, running, simulated_org, until, write_settings

WORKLOAD = 'knobs = "kind"\nrecords = 40\n'


def recorded(part: Running) -> int:
    return int(part.sql("SELECT max(seq) FROM changes")[0][0] or 0)


def record_some(part: Running, org: Org) -> int:
    """Live changes in the journal; returns the last number."""
    until("the API answers", lambda: part.rows("status"))
    until("it is live", lambda: part.sql("SELECT count(*) FROM coverage WHERE status = 'live'")[0][0])
    org.post("/simulator/drip", {"rate": 50, "seconds": 1})
    return int(until("changes are held", lambda: recorded(part) > 10 and recorded(part)))


def stops(part: Running, sentence: str) -> None:
    part.start()
    assert part.process is not None
    assert part.process.wait(60) == 1
    assert re.search(sentence, part.log_tail()), part.log_tail()


def test_a_login_to_another_org_stops_before_anything_of_it_is_recorded(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with simulated_org(first, WORKLOAD, "--seed", "1") as mine:
        settings = write_settings(tmp_path, mine)
        with running(settings, tmp_path) as part:
            record_some(part, mine)
    with simulated_org(second, WORKLOAD, "--seed", "2") as other:
        port = settings.api.listen.rpartition(":")[2]
        write_settings(tmp_path, other)
        file = tmp_path / "cdc.toml"
        file.write_text(re.sub(r'listen = "127.0.0.1:\d+"', f'listen = "127.0.0.1:{port}"', file.read_text()))
        stops(
            Running(settings, tmp_path),
            r"the login is of the org 00D\w{15}, and what is recorded here is of 00D\w{15}",
        )


def test_a_log_thrown_away_is_not_taken_for_the_one_the_journal_was_read_from(tmp_path: Path) -> None:
    with simulated_org(tmp_path, WORKLOAD) as org:
        settings = write_settings(tmp_path, org)
        with running(settings, tmp_path) as part:
            record_some(part, org)
        for file in tmp_path.glob("log.sqlite*"):
            file.unlink()
        stops(Running(settings, tmp_path), "change [0-9]+ was read from it, and it ends at|it was begun anew")
