"""A journal goes on from the log it was read from, and from no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import OtherOrg, StopProcess
from cdc.journal.journal import DuckJournal
from cdc.log.origin import ORIGIN_KEY, Origin
from tests.unit.journal.batches import batch

MINE = Origin("00D000000000001EAA", "log-1")


def journal(folder: Path, log_says: Origin | None) -> DuckJournal:
    texts = {ORIGIN_KEY: log_says.text()} if log_says else {}
    return DuckJournal(str(folder / "journal.duckdb"), "acme", threads=1, schema_text=texts.get)


def told(folder: Path, origin: Origin) -> None:
    held = journal(folder, None)
    held.open()
    held.commit(batch(control=[origin.to_record()])).result(30)
    held.close()


def test_it_opens_with_its_own_log_and_with_one_that_does_not_say(tmp_path: Path) -> None:
    told(tmp_path, MINE)
    for says in (MINE, None):
        held = journal(tmp_path, says)
        held.open()
        held.close()


@pytest.mark.parametrize(
    ("other", "kind", "said"),
    [
        (Origin("00D000000000002EAA", "log-2"), OtherOrg, "00D000000000002EAA"),
        (Origin(MINE.org_id, "log-2"), StopProcess, "begun anew"),
    ],
)
def test_another_log_is_refused_at_the_opening_and_when_it_tells_itself_later(
    other: Origin, kind: type[Exception], said: str, tmp_path: Path
) -> None:
    told(tmp_path, MINE)
    held = journal(tmp_path, other)
    with pytest.raises(kind, match=said):
        held.open()
    held.close()
    held = journal(tmp_path, None)
    held.open()
    with pytest.raises(kind, match=said):
        held.commit(batch(control=[other.to_record()])).result(30)
    held.close()


def test_an_org_that_was_not_known_at_first_is_taken_when_it_is_told(tmp_path: Path) -> None:
    told(tmp_path, Origin("", "log-1"))
    told(tmp_path, MINE)
    with pytest.raises(OtherOrg):
        journal(tmp_path, Origin("00D000000000002EAA", "log-1")).open()
