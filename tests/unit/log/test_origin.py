"""A log of another org, or one begun anew, is not gone on with."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cdc.errors import OtherOrg, StopProcess
from cdc.log.embedded import EmbeddedLog
from cdc.log.follow import follow
from cdc.log.origin import ORIGIN_KEY, Origin
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, LogRecord, Positions
from cdc.ports.types import Ordinal, SchemaId

DAY_MS = 24 * 3600 * 1000
MINE, OTHER = "00D000000000001EAA", "00D000000000002EAA"


class Taker:
    """A follower that has read some of a log."""

    def __init__(self, ordinal: int) -> None:
        self.checkpoint = Checkpoint({"records/0": 100}, Ordinal(ordinal))

    def take(self, batch: ColumnBatch) -> None:
        raise AssertionError("nothing may be taken")


def written(folder: Path, changes: int) -> EmbeddedLog:
    log = EmbeddedLog("acme", folder / "log.sqlite", DAY_MS)
    log.open("test")
    records = [LogRecord("CaseChangeEvent", "r", b"", n) for n in range(1, changes + 1)]
    log.append(records, Positions("acme", Ordinal(changes + 1)))
    return log


def test_what_a_log_says_of_itself_is_read_as_it_was_written(tmp_path: Path) -> None:
    log, origin = written(tmp_path, 1), Origin.new(MINE)
    log.append([origin.to_record()], Positions("acme", Ordinal(2)))
    assert Origin.of(log.schema(SchemaId(ORIGIN_KEY)) or "") == origin
    log.close()


@pytest.mark.parametrize("text", ["", "[]", '{"org_id": "x"}', "null"])
def test_what_is_no_origin_is_said(text: str) -> None:
    with pytest.raises(ValueError):
        Origin.of(text)


def test_a_login_of_another_org_is_named_with_both_orgs_and_one_that_says_none_is_let_be() -> None:
    mine = Origin.new(MINE)
    with pytest.raises(OtherOrg, match=f"of the org {OTHER}.*is of {MINE}.*alias"):
        mine.check_org(OTHER, "log")
    mine.check_org(MINE, "log")
    mine.check_org("", "log")
    Origin.new("").check_org(OTHER, "log")


def test_another_log_of_the_same_org_is_not_the_same() -> None:
    with pytest.raises(StopProcess, match="begun anew"):
        Origin.new(MINE).check_same(Origin.new(MINE), "journal")


def test_a_log_that_ends_before_what_was_read_from_it_is_refused_before_a_change_is_taken_for_a_known_one(
    tmp_path: Path,
) -> None:
    log = written(tmp_path, 5)
    with pytest.raises(StopProcess, match="change 9 was read from it, and it ends at 5"):
        follow(log, Checkpoint(), lambda _: pytest.fail("read"), [Taker(9), Taker(0)], threading.Event())
    log.close()
