"""A simulated org under record with a restoring user, an incident played in it, and what the org should be again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from cdc.cli.act import act
from cdc.settings import Settings
from tests.integration.living import (
    Org,
    Running,
    live_and_read,
    running,
    simulated_org,
    until,
    write_settings,
)

STAMPS = frozenset({"LastModifiedDate", "LastModifiedById", "LastStageChangeDate"})
"""What every write moves, a restore too."""
ENTITIES = ("Account", "Contact", "Lead", "Opportunity", "Case", "User", "Shipment__c")

RESTORE = """
[restore]
auth = "client_credentials"
client_id = "{client_id}"
client_secret_file = "secret"
{more}
"""


@dataclass(slots=True)
class World:
    """The org, the recorder, and the verbs of a responder."""

    org: Org
    run: Running
    settings: Settings
    folder: Path

    def play(self, name: str, **parameters: Any) -> dict[str, Any]:
        """An incident, as fast as it goes, recorded to its end."""
        played: dict[str, Any] = self.org.post(
            "/simulator/scenario", {"name": name, "live": False, **parameters}
        )
        self.caught_up()
        return played

    def caught_up(self) -> None:
        def all_there() -> bool:
            published = self.org.get("/simulator/status")["pairs_published"]
            held: int = self.run.sql("SELECT count(*) FROM changes WHERE source IN ('pubsub', 'cometd')")[0][
                0
            ]
            return held >= published

        until("everything is recorded", all_there)

    def merge(self, entity: str, winner: str, loser: str, **values: str) -> None:
        """A merge as a person makes it, by SOAP."""
        url = self.org.ready["http"]
        asked = {"client_id": self.org.ready["client_id"], "client_secret": self.org.ready["client_secret"]}
        form = urlencode({"grant_type": "client_credentials", **asked}).encode()
        with urlopen(f"{url}/services/oauth2/token", form) as answer:
            token = json.load(answer)["access_token"]
        given = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
        envelope = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
            f"<s:Header><SessionHeader><sessionId>{token}</sessionId></SessionHeader></s:Header><s:Body><merge>"
            f"<request><masterRecord><type>{entity}</type><Id>{winner}</Id>{given}</masterRecord>"
            f"<recordToMergeIds>{loser}</recordToMergeIds></request></merge></s:Body></s:Envelope>"
        ).encode()
        headers = {"SOAPAction": '""', "Content-Type": "text/xml"}
        with urlopen(Request(f"{url}/services/Soap/u/66.0", envelope, headers)) as answer:
            said = answer.read().decode()
        assert "<success>true</success>" in said, said
        self.caught_up()

    def open(self, *, fields: list[str] | None = None, **filter_: Any) -> str:
        detail = act(self.settings, "open_incident", filters=[filter_], fields=fields)
        act(self.settings, "contain_incident", incident_id=detail["incident_id"])
        return str(detail["incident_id"])

    def plan(self, incident_id: str, **more: Any) -> dict[str, Any]:
        """What the plan says, with its hash."""
        done = act(self.settings, "plan_restore", incident_id=incident_id, **more)
        detail: dict[str, Any] = self.run.ask("plan_rows", restore_id=done["restore_id"], limit=1)["detail"]
        return detail

    def plan_rows(self, restore_id: str, decision: str) -> list[dict[str, Any]]:
        return self.run.rows("plan_rows", restore_id=restore_id, decision=decision, limit=10_000)

    def apply(self, plan: dict[str, Any], **more: Any) -> dict[str, Any]:
        return act(self.settings, "apply_restore", restore_id=plan["restore_id"], hash=plan["hash"], **more)

    def verify(self, plan: dict[str, Any]) -> dict[str, Any]:
        self.caught_up()
        return act(self.settings, "verify_restore", restore_id=plan["restore_id"])

    def restore_keys(self, restore_id: str) -> list[str]:
        """Transactions the org knows to be the restore's, by its own record of clients."""
        return sorted(
            {
                c["transaction_key"]
                for c in self.org.lines("/simulator/truth/changes")
                if c["client"].startswith(f"sf-cdc-restore/{restore_id}")
            }
        )

    def differences(
        self, without: Iterable[str], fields: Iterable[str] = (), left: Iterable[str] = ()
    ) -> list[str]:
        """Org as it is against the org as it would be without these transactions, record by record and field by field."""
        keys, named, found = ",".join(without), ",".join(fields), []
        for entity in ENTITIES:
            now = _states(self.org, f"/simulator/truth/state?entity={entity}")
            path = f"/simulator/truth/state?entity={entity}&without={keys}&without_fields={named}"
            for record_id, (deleted, values) in _states(self.org, path).items():
                if record_id in set(left):
                    continue
                is_deleted, held = now.get(record_id, (True, {}))
                if deleted != is_deleted:
                    found.append(f"{entity} {record_id}: deleted {is_deleted}, should be {deleted}")
                elif not deleted:
                    found += [
                        f"{entity} {record_id}.{name}: {held.get(name)!r}, should be {value!r}"
                        for name, value in values.items()
                        if name not in STAMPS and held.get(name) != value
                    ]
        return found


def _states(org: Org, path: str) -> dict[str, tuple[bool, dict[str, Any]]]:
    return {row["record_id"]: (row["is_deleted"], row["fields"]) for row in org.lines(path)}


@contextlib.contextmanager
def world(
    folder: Path, *, records: int = 1_500, days: float = 1, more: str = "", kafka: str = ""
) -> Iterator[World]:
    """An org with a baseline and some ordinary days, under record."""
    with simulated_org(folder, f"records = {records}\n") as org:
        extra = RESTORE.format(client_id=org.ready["client_id"], more=more)
        settings = write_settings(folder, org, kafka, extra=extra)
        with running(settings, folder) as run:
            until("it answers", lambda: run.rows("status"))
            until(
                "every entity is read",
                lambda: live_and_read(run, len(ENTITIES)),
                patience_s=120 + records / 200,
            )
            if days:
                org.post("/simulator/play", {"days": days})
            one = World(org, run, settings, folder)
            one.caught_up()
            yield one
