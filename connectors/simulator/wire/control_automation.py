"""The control API's part about rules and triggers: give, switch, take away; and what they did that no event tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from connectors.simulator import scenarios
from connectors.simulator.automation import KINDS, Guard
from connectors.simulator.checks import LOCKED
from connectors.simulator.faults import KNOWN_FAULTS
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.standard_automation import add_standard

Posted = Callable[[dict[str, Any]], Awaitable[Any]]
Asked = Callable[[], Any]


class AutomationControl:
    """Handlers over one org."""

    def __init__(self, org: SimulatedOrg) -> None:
        self._org = org

    def posted(self) -> list[tuple[str, Posted]]:
        """What is told to the org."""
        return [
            ("automation", self.automate),
            ("guard", self.guard),
            ("archive", self.archive),
            ("setup", self.setup),
            ("facts", self.facts),
        ]

    def asked(self) -> list[tuple[str, Asked]]:
        """What is asked of it."""
        return [("automation", self.automation), ("effects", self.effects), ("known", self.known)]

    async def automate(self, body: dict[str, Any]) -> Any:
        """A rule or trigger: added, switched, or removed."""
        automation = self._org.automation
        if "add" in body:
            automation.add(str(body["add"]), {key: one for key, one in body.items() if key != "add"})
        elif "remove" in body:
            automation.remove(str(body["remove"]))
        elif "standard" in body:
            add_standard(self._org)
        else:
            automation.switch(str(body["name"]), bool(body["active"]))
        return self.automation()

    def automation(self) -> list[dict[str, Any]]:
        """Every rule and trigger."""
        return [
            {"kind": kind, **dataclasses.asdict(rule)}
            for rule in self._org.automation.rules.values()
            for kind, made in KINDS.items()
            if isinstance(rule, made)
        ]

    async def setup(self, body: dict[str, Any]) -> Any:
        """A line of the audit trail."""
        user = scenarios.find_user(self._org, str(body["user"])) if "user" in body else ""
        self._org.change_setup(str(body["action"]), str(body["section"]), str(body["display"]), user_id=user)
        return {"setup_changes": len(self._org.setup_changes)}

    async def facts(self, body: dict[str, Any]) -> Any:
        """A row of set-up put or dropped, or a version of a flow activated, by `user`."""
        setup = self._org.setup
        user = scenarios.find_user(self._org, str(body["user"])) if "user" in body else ""
        with setup.acting(user):
            if "activate" in body:
                setup.activate(str(body["activate"]), int(body["version"]))
                return {}
            if "drop" in body:
                setup.drop(str(body["drop"]), str(body["id"]))
                return {}
            return {"id": setup.put(str(body["put"]), body["values"], str(body.get("id", "")))}

    async def guard(self, body: dict[str, Any]) -> Any:
        """Records that cannot be written for a while, or until `clear`."""
        guards = self._org.automation.guards
        for record_id in body["record_ids"]:
            if body.get("clear"):
                guards.pop(str(record_id), None)
                continue
            until = self._org.clock.now_ms() + int(body["for_ms"]) if "for_ms" in body else None
            code = str(body.get("code", LOCKED.code))
            guards[str(record_id)] = Guard(code, str(body.get("message", LOCKED.message)), until)
        return {"guarded": len(guards)}

    async def archive(self, body: dict[str, Any]) -> Any:
        """Records that query leaves out from now on, and queryAll does not."""
        records = self._org.entity(str(body["entity"])).records
        for record_id in body["record_ids"]:
            record = records.get(str(record_id))
            if record is None:
                raise ValueError(f"there is no record {record_id}")
            record.archived = bool(body.get("archived", True))
        return {"archived": len(body["record_ids"])}

    def known(self) -> dict[str, Any]:
        """What can be asked for: scenarios with their defaults, faults with their parameters."""
        return {
            "scenarios": {
                name: {"about": one.about, "defaults": dict(one.defaults)}
                for name, one in scenarios.SCENARIOS.items()
            },
            "faults": dict(KNOWN_FAULTS),
            "automation": sorted(KINDS),
        }

    def effects(self) -> dict[str, Any]:
        """Mails sent and records given to another owner by the org itself, newest last."""
        automation = self._org.automation
        return {
            "mails": [dataclasses.asdict(one) for one in automation.mails],
            "reassigned": [dataclasses.asdict(one) for one in automation.reassigned],
        }
