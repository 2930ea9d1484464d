"""Day two, on real processes: an orderly end under load, secrets that change, a log that says more, copies elsewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from cdc import settings as settings_module
from cdc.settings import Settings
from tests.conftest import free_ports
from tests.integration.living import (
    Org,
    Running,
    live_and_read,
    running,
    simulated_org,
    until,
    write_settings,
)

pytestmark = pytest.mark.slow

ENTITIES = 7
RATE = 150
GRACE_S = 90
"""What the chart gives a pod to end (`terminationGracePeriodSeconds`)."""
STREAMED = "SELECT count(*) FROM changes WHERE source IN ('pubsub', 'cometd')"


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    with simulated_org(tmp_path, "records = 400\n") as made:
        yield made


def caught_up(org: Org, run: Running) -> None:
    until("the load has ended", lambda: not org.get("/simulator/status")["dripping"])
    until("everything is recorded", lambda: run.sql(STREAMED)[0][0] >= len(org.pairs()))


def cdc(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A verb as a person gives it."""
    command = [sys.executable, "-m", "cdc.cli", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def begun(settings: Settings, folder: Path) -> Running:
    run = Running(settings, folder)
    run.start()
    until("it answers", lambda: run.rows("status"))
    until("every entity is read", lambda: live_and_read(run, ENTITIES))
    return run


# -- an orderly end ------------------------------------------------------------------------------------------------


def test_sigterm_under_load_ends_well_and_nothing_is_lost_or_doubled(tmp_path: Path, org: Org) -> None:
    settings = write_settings(tmp_path, org)
    run = begun(settings, tmp_path)
    try:
        for _ in range(2):
            before = run.sql(STREAMED)[0][0]
            org.post("/simulator/drip", {"rate": RATE, "seconds": 10})
            until("the load comes in", lambda before=before: run.sql(STREAMED)[0][0] > before)
            assert org.get("/simulator/status")["dripping"]
            assert run.process is not None
            run.process.send_signal(signal.SIGTERM)
            assert run.process.wait(GRACE_S) == 0, run.log_tail()
            run.start()
            until("it answers again", lambda: run.rows("status"))
        caught_up(org, run)
        held = run.held()
        assert set(held) == org.pairs()
        assert set(held.values()) == {1}
    finally:
        run.stop()


# -- secrets -------------------------------------------------------------------------------------------------------


def role_of(settings: Settings, token: str) -> int:
    """The status of a question with this token."""
    request = Request(
        f"http://{settings.api.listen}/api/v1/status", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_secrets_that_are_rotated_while_it_runs_are_picked_up(tmp_path: Path, org: Org) -> None:
    def tokens(*some: str) -> str:
        return "".join(f"admin {hashlib.sha256(one.encode()).hexdigest()}\n" for one in some)

    (tmp_path / "tokens").write_text(tokens("old", "ours"))
    (tmp_path / "cdc.token").write_text("ours")
    write_settings(tmp_path, org)
    file = tmp_path / "cdc.toml"
    file.write_text(file.read_text().replace("[api]\n", f'[api]\ntokens_file = "{tmp_path / "tokens"}"\n'))
    settings = settings_module.load(file, {})
    run = begun(settings, tmp_path)
    try:
        assert run.process is not None
        pid = run.process.pid
        assert (role_of(settings, "old"), role_of(settings, "new")) == (200, 401)
        (tmp_path / "tokens.next").write_text(tokens("new", "ours"))
        (tmp_path / "tokens.next").replace(tmp_path / "tokens")
        assert (role_of(settings, "old"), role_of(settings, "new")) == (401, 200)
        (tmp_path / "tokens").write_text("nonsense\n")
        assert role_of(settings, "new") == 200  # a file that is wrong leaves the last ones good
        assert "api.tokens.refused" in run.log_tail()

        org.post("/simulator/client-secret", {"client_secret": "of-the-new-quarter"})
        (tmp_path / "secret").write_text("of-the-new-quarter\n")
        org.post("/simulator/faults", {"name": "token_revoked", "times": 1})
        before = run.sql(STREAMED)[0][0]
        org.post("/simulator/drip", {"rate": 20, "seconds": 2})
        caught_up(org, run)
        assert run.sql(STREAMED)[0][0] > before
        assert run.process.poll() is None
        assert run.process.pid == pid
        assert "of-the-new-quarter" not in (tmp_path / "run.log").read_text()
    finally:
        assert run.stop() == 0


# -- the log ---------------------------------------------------------------------------------------------------------


def lines(folder: Path, event: str) -> list[dict[str, Any]]:
    found = [json.loads(one) for one in (folder / "run.log").read_text().splitlines() if one.startswith("{")]
    return [one for one in found if one["event"] == event]


def test_the_log_says_more_and_less_while_it_runs(tmp_path: Path, org: Org) -> None:
    run = begun(write_settings(tmp_path, org), tmp_path)
    try:
        assert run.process is not None
        assert lines(tmp_path, "scan.progress") == []  # said at debug alone
        run.process.send_signal(signal.SIGUSR1)
        until("it says so", lambda: lines(tmp_path, "log.level.changed"))
        assert lines(tmp_path, "log.level.changed")[-1]["to"] == "debug"
        assert cdc(tmp_path / "cdc.toml", "baseline", "Account").returncode == 0
        assert lines(tmp_path, "scan.progress")
        run.process.send_signal(signal.SIGUSR2)
        until("it says so", lambda: len(lines(tmp_path, "log.level.changed")) == 2)
        assert lines(tmp_path, "log.level.changed")[-1]["to"] == "info"
        said = len(lines(tmp_path, "scan.progress"))
        assert cdc(tmp_path / "cdc.toml", "baseline", "Account").returncode == 0
        assert len(lines(tmp_path, "scan.progress")) == said
    finally:
        assert run.stop() == 0


# -- copies ----------------------------------------------------------------------------------------------------------


def elsewhere(folder: Path, place: Path, **journal: str) -> Path:
    """Settings of the same org for a copy: nothing of the first place is used."""
    place.mkdir(exist_ok=True)
    text = (folder / "cdc.toml").read_text()
    api = text.split("[api]")[1].split('"')[1]
    text = text.replace(api, f"127.0.0.1:{free_ports(1)[0]}")
    text += "\n[journal]\n" + "".join(f'{name} = "{value}"\n' for name, value in journal.items())
    shutil.copy(folder / "secret", place / "secret")
    (place / "cdc.toml").write_text(text)
    return place / "cdc.toml"


def answers(config: Path, at: str, record: str) -> list[Any]:
    """What is asked of both places: all records of a moment, one record's history, what is known."""
    asked = (
        ["state", "Account", "--at", at, "--all"],
        ["state", "Opportunity", "--at", at, "--all"],
        ["record", "Account", record, "--at", at],
        ["query", f"SELECT count(*), min(seq), max(seq) FROM changes WHERE effective_at <= '{at}'"],
    )
    out = []
    for words in asked:
        done = cdc(config, *words, "--format", "json")
        assert done.returncode == 0, (words, done.stderr)
        found = json.loads(done.stdout)
        out.append(found["rows"] if isinstance(found, dict) else found)
    return out


def lived_to(org: Org, run: Running) -> tuple[str, str]:
    """Some hours pass; a moment that is settled by then, and an account that was changed before it."""
    org.post("/simulator/play", {"hours": 4})
    caught_up(org, run)
    [[at, record]] = run.sql(
        "SELECT max(effective_at), arg_max(record_id, seq) FROM changes WHERE entity = 'Account'"
    )
    until("it is settled", lambda: run.rows("state", entity="Account", at=at, limit=1)[0]["complete"])
    return at, record


def test_a_snapshot_under_load_is_restored_elsewhere_verified_and_answers_the_same(
    tmp_path: Path, org: Org
) -> None:
    run = begun(write_settings(tmp_path, org), tmp_path)
    try:
        at, record = lived_to(org, run)
        assert cdc(tmp_path / "cdc.toml", "seal").returncode == 0
        org.post("/simulator/drip", {"rate": RATE, "seconds": 15})
        before = run.sql(STREAMED)[0][0]
        until("the load comes in", lambda: run.sql(STREAMED)[0][0] > before)
        assert org.get("/simulator/status")["dripping"]
        done = cdc(tmp_path / "cdc.toml", "snapshot", str(tmp_path / "copy"))
        assert done.returncode == 0, done.stderr
        shutil.move(tmp_path / "copy", tmp_path / "moved")
        place = elsewhere(
            tmp_path,
            tmp_path / "place",
            path=str(tmp_path / "moved" / "journal.duckdb"),
            segments=str(tmp_path / "moved" / "segments"),
        )
        verified = cdc(place, "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        caught_up(org, run)
        assert answers(place, at, record) == answers(tmp_path / "cdc.toml", at, record)
    finally:
        run.stop()


def test_segments_copied_off_site_and_the_log_make_a_lost_journal_anew(tmp_path: Path, org: Org) -> None:
    settings = write_settings(tmp_path, org)
    run = begun(settings, tmp_path)
    try:
        at, record = lived_to(org, run)
        org.post("/simulator/drip", {"rate": 40, "seconds": 10})
        assert cdc(tmp_path / "cdc.toml", "seal").returncode == 0
        # While it runs: files of segments are never changed, and a manifest is written when its files are whole.
        shutil.copytree(tmp_path / "segments", tmp_path / "off-site")
        caught_up(org, run)
        expected = answers(tmp_path / "cdc.toml", at, record)
        pairs = run.held()
        assert run.stop() == 0
        for lost in [*tmp_path.glob("journal.duckdb*")]:
            lost.unlink()
        shutil.rmtree(tmp_path / "segments")
        shutil.copytree(tmp_path / "off-site", tmp_path / "segments")
        with running(settings, tmp_path) as again:
            until("it has read the log again", lambda: again.held() == pairs)
            assert answers(tmp_path / "cdc.toml", at, record) == expected
        assert cdc(tmp_path / "cdc.toml", "verify").returncode == 0
    finally:
        run.stop()
