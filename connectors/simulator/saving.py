"""Saving records as the API does: each with a result of its own, those that can be in one transaction.

What a caller's headers say is in `Caller`. A record that cannot be saved does not keep the others from it,
unless all or none was asked for; a trigger that refuses one record is run again without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from connectors.simulator.automation import AssignmentRule, Automation, Expansion, Noted, Refused
from connectors.simulator.checks import Checks
from connectors.simulator.errors import OrgError
from connectors.simulator.model import Change, Op

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

ASSIGNED = frozenset({"Account", "Case", "Lead"})
"""Entities that assignment rules may act on (REST guide, "Assignment Rule Header")."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who writes and how: `assigns` lets active assignment rules act, `allows_duplicates` passes alerts."""

    user_id: str
    origin: str = ""
    client: str = ""
    assigns: bool = True
    allows_duplicates: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one record."""

    record_id: str | None
    created: bool = False
    error: OrgError | None = None


Asked = Change | OrgError
"""A change, or why it cannot even be understood."""


class Saver:
    """Writes of the API into one org."""

    def __init__(self, org: SimulatedOrg, checks: Checks, automation: Automation) -> None:
        self._org = org
        self._checks = checks
        self._automation = automation

    def save(self, asked: Sequence[Asked], caller: Caller, *, all_or_none: bool = False) -> list[Saved]:
        """One transaction of what can be saved; a result for each, in the order asked."""
        results: list[Saved | None] = [None] * len(asked)
        going: dict[int, Change] = {}
        seen: set[str] = set()
        for place, change in enumerate(asked):
            try:
                if isinstance(change, OrgError):
                    raise change
                if change.record_id is not None and change.record_id in seen:
                    raise OrgError("DUPLICATE_VALUE", "Duplicate id specified: " + change.record_id)
                _check_mixed(asked[0], change)
                self._checks.check(change, allows_duplicates=caller.allows_duplicates)
            except OrgError as error:
                results[place] = Saved(change.record_id if isinstance(change, Change) else None, error=error)
                continue
            seen.add(change.record_id or "")
            going[place] = change
        assigned = self._assign(going, caller)
        expansion = self._expanded(going, results, all_or_none=all_or_none)
        if all_or_none and len(going) < len(asked):
            return [result or Saved(None, error=ROLLED_BACK) for result in results]
        if going:
            self._commit(going, expansion, caller, results)
            self._note(assigned, going, results)
        return [result or Saved(None, error=ROLLED_BACK) for result in results]

    def _expanded(
        self, going: dict[int, Change], results: list[Saved | None], *, all_or_none: bool
    ) -> Expansion:
        """What triggers add; a record that one refuses is left out, and the triggers run again."""
        while going:
            places = list(going)
            try:
                return self._automation.expanded([going[place] for place in places])
            except Refused as refused:
                place = places[refused.place]
                results[place] = Saved(going.pop(place).record_id, error=refused.error)
                if all_or_none:
                    break
        return Expansion([], [])

    def _commit(
        self, going: dict[int, Change], expansion: Expansion, caller: Caller, results: list[Saved | None]
    ) -> None:
        committed = self._org.commit(
            expansion.changes,
            user_id=caller.user_id,
            origin=caller.origin,
            client=caller.client,
            triggers=False,
        )
        for (place, change), record_id in zip(going.items(), committed.record_ids, strict=False):
            results[place] = Saved(record_id, created=change.op is Op.CREATE)
        for record_id, rule in expansion.mails:
            self._automation.mail("flow", record_id, rule)

    def _assign(self, going: dict[int, Change], caller: Caller) -> dict[int, AssignmentRule]:
        """Give records to whom assignment rules say; returns the rule of each."""
        acted: dict[int, AssignmentRule] = {}
        if not caller.assigns:
            return acted
        for place, change in going.items():
            if change.entity not in ASSIGNED or change.op not in (Op.CREATE, Op.UPDATE):
                continue
            record = self._org.entities[change.entity].records.get(change.record_id or "")
            before: dict[str, Any] = record.values if record is not None else {}
            after = {**before, **change.values}
            for rule in self._automation.of(AssignmentRule, change.entity):
                if self._automation.holds(change.entity, rule.condition, after):
                    if after.get("OwnerId") != rule.owner:
                        going[place] = replace(change, values={**change.values, "OwnerId": rule.owner})
                        acted[place] = rule
                    break
        return acted

    def _note(
        self, assigned: dict[int, AssignmentRule], going: dict[int, Change], results: list[Saved | None]
    ) -> None:
        for place, rule in assigned.items():
            result = results[place]
            if result is None or result.record_id is None or place not in going:
                continue
            at = self._org.clock.now_ms()
            self._automation.reassigned.append(Noted("reassigned", result.record_id, rule.name, at))
            if rule.mails:
                self._automation.mail("assignment", result.record_id, rule.name)
                if rule.entity == "Case" and result.created:
                    self._automation.mail("auto_response", result.record_id, rule.name)


def _check_mixed(first: Asked, change: Change) -> None:
    """Raises MIXED_DML_OPERATION for users together with anything else."""
    if isinstance(first, Change) and (first.entity == "User") != (change.entity == "User"):
        raise OrgError(
            "MIXED_DML_OPERATION",
            f"DML operation on setup object is not permitted after you have updated a non-setup object (or vice "
            f"versa): {change.entity}, original object: {first.entity}",
        )


ROLLED_BACK = OrgError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)
