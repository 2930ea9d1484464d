"""The scenarios: automation that runs away, a deployment, an access mistake, a cascade; and people who work on.

Each step is one transaction or a few; between them org time passes. What is wrong and what is right can be told
apart afterwards by the run's `transaction_keys` and `edit_keys`, and the state without the wrong ones by
`Truth.state(…, without=…)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from connectors.simulator.entities import Entity
from connectors.simulator.invented import Inventor
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.population import BULK_ORIGIN, REST_ORIGIN, UI_CLIENT, UI_ORIGIN
from connectors.simulator.scenario import Scenario, ScenarioRun


def _runaway_flow(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """One value into one field, on as many records as there are, a chunk a transaction."""
    wanted = run.parameters
    entity = org.entity(str(wanted["entity"]))
    path = str(wanted["field"])
    if path not in entity.leaves:
        raise ValueError(f"{entity.name} has no field {path}")
    random = Random(f"runaway-{org.seed}-{run.started_at}")  # noqa: S311 - a seed is the point
    record_ids = entity.records.live_ids()
    random.shuffle(record_ids)
    record_ids = record_ids[: int(wanted["records"])]
    chunk = int(wanted["chunk"])
    for at in range(0, len(record_ids), chunk):
        live_ids = [
            record_id
            for record_id in record_ids[at : at + chunk]
            if (record := entity.records.get(record_id)) is not None and not record.deleted
        ]
        committed = org.commit(
            [Change(entity.name, Op.UPDATE, record_id, {path: wanted["value"]}) for record_id in live_ids],
            user_id=run.user_id,
            origin=str(wanted["origin"]),
            client=str(wanted["client"]),
            merge=bool(wanted["merged"]),
        )
        run.records += len(live_ids)
        run.transactions += 1
        run.transaction_keys.append(committed.transaction.key)
        yield int(wanted["interval_ms"])


def _flow_while_editing(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """The runaway flow, and people who go on editing: other fields, other records, and some of what it broke."""
    wanted = run.parameters
    people = _People(org, run, str(wanted["entity"]), str(wanted["field"]))
    for wait_ms in _runaway_flow(org, run):
        for _ in range(int(wanted["edits"])):
            people.edit()
        yield wait_ms


def _deployment(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """A trigger goes live that resets a companion field whenever anybody saves a record; people go on saving.

    The wrong value is in the same transaction and event as the right one. The trigger stays active.
    """
    wanted = run.parameters
    entity, path = str(wanted["entity"]), str(wanted["companion"])
    name = str(wanted["trigger"])
    with org.setup.acting(run.user_id):
        org.automation.add(
            "trigger",
            {
                "name": name,
                "entity": entity,
                "on": ["UPDATE"],
                "kind": "apex",
                "effects": [{"to": "self", "set": {path: wanted["value"]}}],
            },
        )
    run.automations.append(name)
    people = _People(org, run, entity, path, corrects=0.0)
    for _ in range(int(wanted["saves"])):
        key = people.edit()
        if key:
            run.transaction_keys.append(key)
            run.transactions += 1
            run.records += 1
        yield int(wanted["interval_ms"])


def _access_mistake(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """Somebody is given a profile that may delete everything, and deletes thousands of records by a bulk job."""
    wanted = run.parameters
    administrator = org.administrator_id
    given = org.commit(
        [Change("User", Op.UPDATE, run.user_id, {"ProfileId": str(wanted["profile"])})],
        user_id=administrator,
        origin=UI_ORIGIN,
        client=UI_CLIENT,
    )
    run.edit_keys.append(given.transaction.key)
    user = next(one for one in org.users if one["id"] == run.user_id)
    org.change_setup(
        "changedprofileforuser",
        "Manage Users",
        f"Changed profile for user {user['username']} from Standard User to System Administrator",
    )
    yield int(wanted["before_ms"])
    entity = org.entity(str(wanted["entity"]))
    random = Random(f"access-{org.seed}-{run.started_at}")  # noqa: S311 - a seed is the point
    record_ids = random.sample(entity.records.live_ids(), min(int(wanted["records"]), len(entity.records)))
    for some in _chunks(record_ids, int(wanted["chunk"])):
        live = [one for one in some if _is_live(entity, one)]
        if live:
            _wrong(org, run, [Change(entity.name, Op.DELETE, one) for one in live])
        yield int(wanted["interval_ms"])


def _cascade(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """An integration sets one field of many accounts; a flow carries it on to contacts and opportunities."""
    wanted = run.parameters
    name = str(wanted["trigger"])
    org.automation.add(
        "trigger",
        {
            "name": name,
            "entity": "Account",
            "on": ["UPDATE"],
            "changed": [str(wanted["field"])],
            "effects": [
                {"to": "children:Contact.AccountId", "set": {"Level__c": "Tertiary", "Newsletter__c": False}},
                {
                    "to": "children:Opportunity.AccountId",
                    "set": {"NextStep": None, "Competitor__c": "unknown"},
                },
            ],
        },
    )
    run.automations.append(name)
    org.change_setup("activatedInteractionDefVersion", "Flows", f"Activated flow with Name: {name}")
    accounts = org.entity("Account")
    random = Random(f"cascade-{org.seed}-{run.started_at}")  # noqa: S311 - a seed is the point
    record_ids = random.sample(
        accounts.records.live_ids(), min(int(wanted["records"]), len(accounts.records))
    )
    for some in _chunks(record_ids, int(wanted["chunk"])):
        live = [one for one in some if _is_live(accounts, one)]
        if live:
            values = {str(wanted["field"]): wanted["value"]}
            _wrong(org, run, [Change("Account", Op.UPDATE, one, values) for one in live])
        yield int(wanted["interval_ms"])


def _wrong(org: SimulatedOrg, run: ScenarioRun, changes: Sequence[Change]) -> None:
    """One transaction of what goes wrong."""
    committed = org.commit(
        changes,
        user_id=run.user_id,
        origin=str(run.parameters["origin"]),
        client=str(run.parameters["client"]),
    )
    run.records += len(committed.record_ids)
    run.transactions += 1
    run.transaction_keys.append(committed.transaction.key)


class _People:
    """People of sales and service who edit single records of one entity, by the user interface.

    A share of their edits is of records the incident has touched, and of those a share corrects the very field.
    """

    def __init__(
        self, org: SimulatedOrg, run: ScenarioRun, entity: str, field: str, *, corrects: float = 0.25
    ) -> None:
        self._org = org
        self._run = run
        self._entity = org.entity(entity)
        self._field = field
        self._corrects = corrects
        self._random = Random(f"people-{org.seed}-{run.started_at}")  # noqa: S311 - a seed is the point
        self._invent = Inventor(self._random)
        self._users = [user["id"] for user in org.users if user["role"] in ("sales", "service")]
        self._paths = [
            path
            for path, leaf in self._entity.leaves.items()
            if leaf.field.updateable
            and not leaf.field.required
            and not leaf.field.parts
            and leaf.described in ("string", "textarea", "picklist", "date", "phone", "percent")
            and leaf.field.name not in _DERIVING
            and path != field
        ]

    def edit(self) -> str:
        """One edit; returns its transaction's key, "" if there is nothing to edit."""
        record = self._entity.records.pick(self._random)
        if record is None:
            return ""
        broken = record.values.get(self._field) == self._run.parameters.get("value")
        path = (
            self._field
            if broken and self._random.random() < self._corrects
            else self._random.choice(self._paths)
        )
        now = self._org.clock.now_ms()
        value = self._invent.value(self._entity, self._entity.leaves[path], now)
        if path == self._field and value == self._run.parameters.get("value"):
            return ""
        committed = self._org.commit(
            [Change(self._entity.name, Op.UPDATE, record.id, {path: value})],
            user_id=self._random.choice(self._users or [self._org.administrator_id]),
            origin=UI_ORIGIN,
            client=UI_CLIENT,
        )
        self._run.edit_keys.append(committed.transaction.key)
        return committed.transaction.key


_DERIVING = frozenset({"StageName", "Status", "Amount", "Probability", "ForecastCategoryName"})
"""Fields that other fields follow from: an edit of these is not one value."""


def _chunks(record_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for at in range(0, len(record_ids), size):
        yield record_ids[at : at + size]


def _is_live(entity: Entity, record_id: str) -> bool:
    record = entity.records.get(record_id)
    return record is not None and not record.deleted


_FLOW: Mapping[str, Any] = {
    "chunk": 200,
    "interval_ms": 5_000,
    "user": "automation",
    "origin": "",
    "client": "",
    "merged": True,
}

INCIDENTS: tuple[Scenario, ...] = (
    Scenario(
        "runaway_flow",
        "an automation writes one value into one field of thousands of records, 200 a transaction",
        {
            "entity": "Opportunity",
            "field": "StageName",
            "value": "Closed Lost",
            "records": 2_000,
            "chunk": 200,
            "interval_ms": 5_000,
            "user": "automation",
            "origin": "",
            "client": "",
            "merged": True,
        },
        _runaway_flow,
    ),
    Scenario(
        "runaway_integration",
        "an integration empties one field of thousands of records, 50 a call, single events",
        {
            "entity": "Account",
            "field": "Rating",
            "value": None,
            "records": 2_000,
            "chunk": 50,
            "interval_ms": 2_000,
            "user": "Marketing Hub",
            "origin": REST_ORIGIN,
            "client": "MarketingHub",
            "merged": False,
        },
        _runaway_flow,
    ),
    Scenario(
        "flow_while_editing",
        "an automation writes one value into 5,000 records while people go on editing them",
        {
            "entity": "Opportunity",
            "field": "Delivery_Status__c",
            "value": "Completed",
            "records": 5_000,
            "edits": 10,
            **_FLOW,
        },
        _flow_while_editing,
    ),
    Scenario(
        "deployment",
        "a deployed trigger resets a companion field on every save, and people go on saving",
        {
            "entity": "Opportunity",
            "companion": "NextStep",
            "value": None,
            "saves": 400,
            "interval_ms": 20_000,
            "trigger": "OpportunityDefaults",
            "user": "administrator",
        },
        _deployment,
    ),
    Scenario(
        "access_mistake",
        "a user is given a profile that may delete everything, and deletes records by a bulk job",
        {
            "entity": "Case",
            "records": 1_000,
            "chunk": 200,
            "profile": "00eSm0000000001AAA",
            "before_ms": 600_000,
            "interval_ms": 2_000,
            "user": "marketing",
            "origin": BULK_ORIGIN,
            "client": "DataLoader",
        },
        _access_mistake,
    ),
    Scenario(
        "cascade",
        "an integration sets a field of many accounts, and a flow carries it on to two more entities",
        {
            "field": "Rating",
            "value": "Cold",
            "records": 500,
            "chunk": 50,
            "interval_ms": 3_000,
            "trigger": "Account_Rating_Rollout",
            "user": "Marketing Hub",
            "origin": REST_ORIGIN,
            "client": "MarketingHub",
        },
        _cascade,
    ),
)
