"""Whose changes a log holds, and which log it is: told by its first recorder, compared by everybody after.

An alias is a name in a settings file. The org's own id cannot be mistaken, and the log's tells a log that was thrown
away and begun anew, whose ordinals begin at 1 again, from the one a journal was read from.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from typing import Final

from cdc.errors import OtherOrg, StopProcess
from cdc.ports.log import LogRecord

ORIGIN_KEY: Final = "origin/log"
"""Where it stands in the `schemas` topic, which is compacted and never forgets a key."""


@dataclass(frozen=True, slots=True)
class Origin:
    """`org_id` has 18 characters, or none where the login did not say."""

    org_id: str
    log_id: str

    @staticmethod
    def new(org_id: str) -> Origin:
        return Origin(org_id, uuid.uuid4().hex)

    @staticmethod
    def of(text: str) -> Origin:
        """Errors: ValueError for what is none."""
        told = json.loads(text)
        try:
            return Origin(str(told["org_id"]), str(told["log_id"]))
        except (KeyError, TypeError) as e:
            raise ValueError(f"it lacks {e}") from e

    def text(self) -> str:
        return json.dumps(asdict(self))

    def to_record(self) -> LogRecord:
        return LogRecord("schemas", ORIGIN_KEY, self.text().encode(), schema_id=ORIGIN_KEY)

    def check_org(self, org_id: str, where: str) -> None:
        """Errors: OtherOrg where a login is of another org than this one."""
        if self.org_id and org_id and self.org_id != org_id:
            raise OtherOrg(
                f"the login is of the org {org_id}, and what is recorded here is of {self.org_id}",
                where=where,
                do="check login_url and the credentials; another org, or a sandbox made anew, needs settings with"
                " an alias, a log and a journal of their own",
            )

    def check_same(self, now: Origin, where: str) -> None:
        """Errors: OtherOrg, or StopProcess for another log of the same org."""
        self.check_org(now.org_id, where)
        if self.log_id != now.log_id:
            raise replaced(where)


def replaced(where: str) -> StopProcess:
    """A reader has read further than the log goes, or another log: its numbers mean other changes."""
    return StopProcess(
        "the log is not the one this was read from: it was begun anew",
        where=where,
        do="put the old log back, or move the journal's file, its segments and the detector's state away: they begin"
        " anew with baselines",
    )
