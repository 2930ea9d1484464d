"""`cdc detect --from` says of the journal what `cdc detect --input` says of the same changes in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cdc.detect.alert import iso
from cdc.detect.files import judge_file
from cdc.journal.journal import DuckJournal
from cdc.roles.judging import explain_key, judge_journal
from cdc.settings import Settings
from tests.unit.detect.test_follower import columns
from tests.unit.detect.weeks import BEGIN, DAY, FLOW, HOUR, Row, SmallOrg

AT = BEGIN + 2 * DAY


def stream() -> list[Row]:
    """A runaway, and two days later a mass delete."""
    org = SmallOrg(3)
    rows = org.bulk("Contact", org.some("Contact", 400), BEGIN + HOUR, "005X", FLOW, lambda: {"Phone": None})
    return rows + org.bulk("Lead", org.some("Lead", 400), AT, "005Y", FLOW, dict, kind="DELETE")


def settings(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "org": {"alias": "acme"},
            "salesforce": {
                "login_url": "https://acme.my.salesforce.com",
                "auth": "access_token",
                "org_id": "00D000000000001AAA",
                "instance_url": "https://acme.my.salesforce.com",
                "access_token_file": str(folder / "token"),
            },
            "journal": {"path": str(folder / "journal.duckdb")},
        }
    )


def said(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_would_have_been_said_is_what_a_file_of_the_same_changes_says(tmp_path: Path) -> None:
    rows, given = stream(), settings(tmp_path)
    journal = DuckJournal(given.journal.path, "acme", threads=1, memory_limit="512MB")
    journal.open()
    journal.commit(columns(rows, 1)).result(60)
    journal.close()
    lines = [json.dumps({**row, "ordinal": n}) for n, row in enumerate(rows, 1)]
    (tmp_path / "in.ndjson").write_text("\n".join(lines), encoding="utf-8")
    judge_file(tmp_path / "in.ndjson", tmp_path / "file", tmp_path / "state", org="acme")

    judge_journal(given, iso(BEGIN), None, str(tmp_path / "whole"))
    assert said(tmp_path / "whole") == said(tmp_path / "file")
    assert {a["severity"] for a in said(tmp_path / "whole")} == {"page"}

    judge_journal(given, iso(AT - HOUR), None, str(tmp_path / "later"))
    later = [alert for alert in said(tmp_path / "file") if alert["decided_at"] >= iso(AT - HOUR)]
    assert said(tmp_path / "later") == later
    assert {t["entity"] for alert in later if alert["state"] == "open" for t in alert["targets"]} == {"Lead"}

    judge_journal(given, iso(BEGIN), iso(BEGIN + DAY), str(tmp_path / "earlier"))
    assert {t["entity"] for alert in said(tmp_path / "earlier") for t in alert["targets"]} == {"Contact"}

    told = explain_key(None, str(tmp_path / "state"), "005Y,Lead")
    assert "Lead" in told
    assert "005Y" in told
