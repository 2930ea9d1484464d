"""A Salesforce org in memory: transactions, descriptions, queries, schemas, limits.

Used from one thread (the event loop of whoever serves it). Everything random comes from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from connectors.simulator import describe as descriptions
from connectors.simulator import ids
from connectors.simulator.automation import Automation, Refused
from connectors.simulator.bus import EventBus
from connectors.simulator.channels import Channels, Member
from connectors.simulator.checks import Checks
from connectors.simulator.clock import SECOND_MS, SimClock
from connectors.simulator.commits import Committer, Undo
from connectors.simulator.entities import Entity, Record, standard_entities
from connectors.simulator.errors import OrgError
from connectors.simulator.faults import Faults
from connectors.simulator.incoming import Intake
from connectors.simulator.knobs import Knobs
from connectors.simulator.metadata_files import MetadataFiles
from connectors.simulator.metadata_jobs import Deployments
from connectors.simulator.model import Change, Committed, Op, Published, SetupChange
from connectors.simulator.platform_events import PlatformEvent, standard_platform_events
from connectors.simulator.queries import Rows, run_query
from connectors.simulator.rows import RowShape
from connectors.simulator.saving import Saver
from connectors.simulator.schema_changes import change_fields
from connectors.simulator.setup_facts import SetupFacts
from connectors.simulator.setup_tables import table_rows
from connectors.simulator.soql import parse_condition, parse_query
from connectors.simulator.truth import Truth
from connectors.simulator.usage import Usage

POD = "Sm00"
"""The four characters after the key prefix of every id."""

FIRST_COMMIT_NUMBER = 9_007_199_254_741_000
"""Above 2**53: commit numbers do not fit a double (protocol 2.1)."""

SYSTEM = "system"
"""`as_user` of a reader who sees hidden fields too."""


class SimulatedOrg:
    """`org_id`, `instance`, `users`, `entities`, `bus`, `truth`, `faults`, `clock`, `usage`; `knobs` can be replaced.

    A new org has two users (an administrator, and the one that capture logs in as) and no other records:
    `workload.populate` gives it some.
    """

    def __init__(self, seed: int = 1, knobs: Knobs | None = None, clock: SimClock | None = None) -> None:
        self.seed = seed
        self.clock = clock or SimClock()
        self.started_at = self.clock.now_ms() // SECOND_MS * SECOND_MS
        self.knobs = knobs or Knobs.kind()
        self.faults = Faults()
        self.org_id = ids.record_id("00D", POD, seed % 62**8)
        self.instance = "simulated"
        self.tenant_guid = f"core/simulated/{self.org_id}"
        self.entities: dict[str, Entity] = standard_entities(POD)
        self.platform_events: dict[str, PlatformEvent] = standard_platform_events()
        self.users: list[dict[str, Any]] = []
        self.usage = Usage(self.clock, lambda: self._knobs)
        self.truth = Truth(self.entities, self.live_paths)
        self._random = Random(f"org-{seed}")  # noqa: S311 - a seed is the point
        self._committer = Committer(
            self.entities, self._random, pod=POD, first_commit=FIRST_COMMIT_NUMBER + seed
        )
        self.automation = Automation(
            self.entities, compiled=self._compiled, new_id=self.new_id, now=self.clock.now_ms
        )
        checks = Checks(
            self.entities,
            self.automation,
            self.faults,
            Random(f"checks-{seed}"),  # noqa: S311 - a seed is the point
            lambda: self._knobs,
            self.clock.now_ms,
        )
        self.saver = Saver(self, checks, self.automation)
        self.setup_changes: list[SetupChange] = []
        self.setup = SetupFacts(self)
        self.metadata = MetadataFiles(self)
        self.deployments = Deployments(self)
        self.automation.noticed = self.setup.automation_changed
        self._held: list[Published] | None = None
        self._shapes: dict[tuple[str, str], RowShape] = {}
        self._schemas = {
            **{made.layout.schema_id: made.layout.schema_json for made in self.entities.values()},
            **{made.schema.schema_id: made.schema.schema_json for made in self.platform_events.values()},
        }
        channels = Channels({entity.change_event: entity.name for entity in self.entities.values()})
        channels.platform_events.update(
            {name: event.schema.schema_id for name, event in self.platform_events.items()}
        )
        self.bus = EventBus(
            self.clock,
            channels,
            self.faults,
            Random(f"bus-{seed}"),  # noqa: S311 - a seed is the point
            knobs=lambda: self._knobs,
            hidden=self.hidden,
            look=self._look,
            duplicated=self.truth.duplicated,
        )
        self.administrator_id = self.add_user("Administrator", role="administrator")
        self.integration_user_id = self.add_user("Capture Integration", role="integration")

    @property
    def knobs(self) -> Knobs:
        return self._knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._hidden = {
            name: frozenset(
                field.removeprefix(f"{name}.")
                for field in knobs.hidden_fields
                if field.startswith(f"{name}.")
            )
            for name in {field.partition(".")[0] for field in knobs.hidden_fields}
        }
        self._shapes = {}
        self.clock.date_skew_max_ms = knobs.date_skew_max_ms

    # Changing

    def commit(
        self,
        changes: Sequence[Change],
        *,
        user_id: str,
        origin: str = "",
        client: str = "",
        changed_before_ms: int = 0,
        merge: bool = True,
        stamped: bool = True,
        triggers: bool = True,
    ) -> Committed:
        """One transaction, at the clock's time. All or nothing: raises OrgError before anything changed.

        `merge` puts the same change of many records into one event; `stamped=False` leaves LastModifiedDate
        alone (geocoding). Deletes take children along, triggers add changes of their own unless `triggers` is
        False; ids of all those stand behind the ids asked for. Validation rules are the API's (`saver`).
        """
        if triggers:
            try:
                expansion = self.automation.expanded(changes)
            except Refused as refused:
                raise refused.error from None
            changes = expansion.changes
        transaction = self._committer.begin(self.clock.now_ms(), user_id, origin, self._echoed(client))
        record_ids, events = self._committer.commit(
            transaction,
            changes,
            knobs=self._knobs,
            selected=self.bus.channels.selected(),
            changed_before_ms=changed_before_ms,
            merge=merge,
            stamped=stamped,
        )
        self._tell(events)
        for record_id, rule in expansion.mails if triggers else ():
            self.automation.mail("flow", record_id, rule)
        return Committed(transaction, tuple(record_ids), tuple(events))

    @contextmanager
    def held_back(self) -> Iterator[Undo]:
        """What is committed inside is told to nobody before the end; `Undo.take_back` makes it not have been.

        For requests that write all or nothing in several transactions. Nothing else may commit meanwhile.
        """
        undo = self._committer.undo = Undo()
        self._held = []
        noted = self.automation.noted()
        try:
            yield undo
        finally:
            held, self._held, self._committer.undo = self._held, None, None
            if undo.taken_back:
                self.automation.forget_after(noted)
            else:
                self._tell(held)

    def new_id(self, entity: str) -> str:
        """An id to create a record with, for transactions whose records refer to each other."""
        return self._committer.new_id(entity)

    def set_silently(self, entity: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change values that publish nothing and move no stamp: LastActivityDate, formulas."""
        record = self._record(entity, record_id)
        for path, value in values.items():
            leaf = self.entity(entity).leaves[path]
            if leaf.field.publishes:
                raise ValueError(f"{entity}.{path} publishes its changes")
            record.own_values()[path] = value

    def load(
        self, entity: str, values: Mapping[str, Any], *, at_ms: int, user_id: str, record_id: str = ""
    ) -> str:
        """A record that was there before the first commit: no event, but part of the truth."""
        made = self.entity(entity)
        full = {**made.defaults, **values}
        full.update(CreatedDate=at_ms, LastModifiedDate=at_ms, CreatedById=user_id, LastModifiedById=user_id)
        if "OwnerId" in made.leaves:
            full.setdefault("OwnerId", user_id)
        record = Record(
            record_id or self.new_id(entity),
            {path: value for path, value in full.items() if value is not None},
            system_modstamp=at_ms,
            last_commit_at=at_ms,
        )
        made.records.add(record)
        self.truth.load(entity, record.id, record.values)
        record.shared = True
        return record.id

    def change_setup(self, action: str, section: str, display: str, *, user_id: str = "") -> None:
        """Note a change of the set-up in the audit trail; nothing is published."""
        user_id = user_id or self.setup.acting_user or self.administrator_id
        self.setup_changes.append(SetupChange(self.clock.now_ms(), user_id, action, section, display))

    def add_user(self, name: str, *, role: str, profile: str = "Standard User") -> str:
        """A user, before the first commit: an entry in `users` and a User record."""
        user_id = self.new_id("User")
        first, _, last = name.rpartition(" ")
        username = f"{name.lower().replace(' ', '.')}@{self.org_id[:15].lower()}.example.com"
        user = {"id": user_id, "name": name, "username": username, "role": role, "profile": profile}
        values = {
            "Username": username,
            "Name.FirstName": first or None,
            "Name.LastName": last,
            "Email": username,
            "Alias": name.replace(" ", "")[-8:].lower(),
            "Department": role.title(),
            "IsActive": True,
            "TimeZoneSidKey": "Europe/London",
            "LocaleSidKey": "en_GB",
            "LanguageLocaleKey": "en_US",
            "EmailEncodingKey": "UTF-8",
            "UserType": "Standard",
            "ProfileId": self.setup.profile_id(profile),
            "UserPermissions": ("UserPermissionsSFContentUser",),
        }
        self.load("User", values, at_ms=self.started_at, user_id=user_id, record_id=user_id)
        self.users.append(user)
        return user_id

    def publish_platform_event(self, name: str, values: Mapping[str, Any], *, user_id: str = "") -> Published:
        """Publish `Order__e` or another platform event the org knows."""
        event = self.platform_events.get(name)
        if event is None:
            raise OrgError("NOT_FOUND", f"The platform event {name} is not found.", status=404)
        transaction = self._committer.begin(self.clock.now_ms(), user_id or self.administrator_id, "", "")
        made = event.published(transaction, values, ids.event_id(self._random))
        self.bus.publish([made])
        return made

    def publish_raw(
        self,
        entity: str,
        schema_id: str,
        payload: bytes,
        *,
        event_id: str,
        record_ids: Sequence[str] = (),
        kind: str = "UPDATE",
        committed_at: int = 0,
    ) -> Published:
        """Put an event on the bus as it is, for instance a captured one; its schema by `register_schema`."""
        transaction = self._committer.begin(self.clock.now_ms(), self.administrator_id, "", "")
        op = Op(kind) if kind in Op.__members__ else Op.UPDATE
        event = Published(
            event_id, entity, op, kind, transaction, 1, committed_at or transaction.at,
            tuple(record_ids), (), (), None, raw=(schema_id, payload),
        )  # fmt: skip
        self._tell([event])
        return event

    def change_schema(
        self,
        entity: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        retype: Mapping[str, str] | None = None,
    ) -> str:
        """Give an entity other fields; returns the new schema id. `add` has definition lines (fields.py).

        A change of type that cannot keep values makes them null everywhere and publishes one wildcard event.
        """
        made = self.entity(entity)
        transaction = self._committer.begin(self.clock.now_ms(), self.administrator_id, "", "")
        events = change_fields(
            made, transaction, self._random, self._knobs, add=add, remove=remove, retype=retype or {}
        )
        self._schemas[made.layout.schema_id] = made.layout.schema_json
        self._shapes = {}
        self.automation.schema_changed()
        self._tell(events)
        return made.layout.schema_id

    def set_channel(
        self,
        channel: str,
        entities: Sequence[str],
        *,
        enriched: Mapping[str, Sequence[str]] | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> None:
        """Select entities on `ChangeEvents` or `X__chn`; enriched fields by path, filters as conditions."""
        members = []
        for name in entities:
            self.entity(name)
            text = (filters or {}).get(name, "")
            accepts = None
            if text:
                accepts = parse_condition(text)(self._filter_field(name), self.clock.now_ms())
            members.append(Member(name, tuple((enriched or {}).get(name, ())), text, accepts))
        self.bus.channels.set_members(channel, tuple(members))

    def set_event_channel(self, channel: str, events: Sequence[str]) -> None:
        """Put platform events on `X__chn`, which is then `/event/X__chn`."""
        for name in events:
            if name not in self.platform_events:
                raise OrgError("NOT_FOUND", f"The platform event {name} is not found.", status=404)
        self.bus.channels.set_event_members(channel, tuple(events))

    # Asking

    def entity(self, name: str) -> Entity:
        """An entity by its API name. Raises INVALID_TYPE."""
        found = self.entities.get(self.name_of(name))
        if found is None or self.faults.active("no_permission", entity=found.name) is not None:
            raise OrgError(
                "INVALID_TYPE",
                f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be "
                "sure to append the '__c' after the entity name.",
            )
        return found

    def name_of(self, entity: str) -> str:
        """An entity's name as described, whatever the case it is asked in; as it is where there is none."""
        if entity in self.entities:
            return entity
        wanted = entity.lower()
        return next((name for name in self.entities if name.lower() == wanted), entity)

    def describe(self, entity: str, *, as_user: str = "") -> dict[str, Any]:
        """The describe JSON of one entity."""
        made = self.entity(entity)
        children = descriptions.child_relationships(entity, self.entities)
        return descriptions.describe_entity(
            made,
            self._hidden_from(entity, as_user),
            children,
            read_only=self.read_only(entity),
            writable=entity not in self._knobs.read_only_entities,
        )

    def describe_global(self) -> dict[str, Any]:
        """The describe JSON of all entities."""
        return {
            "encoding": "UTF-8",
            "maxBatchSize": 200,
            "sobjects": [
                descriptions.summary(entity)
                for name, entity in self.entities.items()
                if self.faults.active("no_permission", entity=name) is None
            ],
        }

    def query(self, soql: str, *, include_deleted: bool = False, as_user: str = "") -> Rows:
        """Run a query; the rows are made page by page. Raises MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE."""
        query = parse_query(soql)
        if self.name_of(query.entity) not in self.entities:
            rows = table_rows(self, query, tooling=False)
            if rows is not None:
                return rows
        return run_query(
            query,
            shape=lambda entity: self.shape(entity, as_user=as_user),
            entity_of_id=self._entity_of_id,
            now=self.clock.now_ms(),
            include_deleted=include_deleted,
            snapshot=self._knobs.pages_are_snapshots,
            relationships=self._relationship,
        )

    def tooling_query(self, soql: str) -> Rows:
        """Channels and automation, as the Tooling API lists them. Raises INVALID_TYPE for other tables."""
        query = parse_query(soql)
        rows = table_rows(self, query, tooling=True)
        if rows is None:
            raise OrgError("INVALID_TYPE", f"sObject type '{query.entity}' is not supported.")
        return rows

    def row(
        self, entity: str, record_id: str, fields: Sequence[str] = (), *, as_user: str = ""
    ) -> dict[str, Any]:
        """One record as sobjects/X/id gives it. Raises NOT_FOUND, also for deleted ones."""
        shape = self.shape(entity, as_user=as_user)
        record = self._record(entity, record_id)
        if record.deleted:
            raise OrgError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return Rows.made(shape, fields or shape.names, [record])[0]

    def intake(self, entity: str) -> Intake:
        """What the API's users may write to an entity, and how it reads their values."""
        return Intake(self.entity(entity), self.hidden(entity), self.read_only(entity), self.find)

    def from_rest(self, entity: str, body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        """A REST body as the values of a Change. Raises INVALID_FIELD, INVALID_FIELD_FOR_INSERT_UPDATE."""
        return self.intake(entity).from_rest(body, creating=creating)

    def find(self, entity: str, field: str, value: str) -> str:
        """The id of the record with that external id. Raises INVALID_FIELD, NOT_FOUND, DUPLICATE_EXTERNAL_ID."""
        found = self.with_external_id(entity, field, value)
        if not found:
            raise OrgError(
                "INVALID_FIELD",
                f"Foreign key external ID: {value} not found for field {field} in entity {entity}",
            )
        return found[0]

    def with_external_id(self, entity: str, field: str, value: str) -> list[str]:
        """Ids of live records by `Id` or an external id field; at most one. Raises OrgError for another field."""
        made = self.entity(entity)
        if field.lower() == "id":
            record = made.records.get(ids.with_suffix(value[:15]))
            return [record.id] if record is not None and not record.deleted else []
        path = made.path_of_lower.get(field.lower())
        if path is None or not made.leaves[path].field.external_id or path in self.hidden(entity):
            raise OrgError(
                "INVALID_FIELD",
                f"Field name provided, {field} is not an External ID or indexed field for {entity}",
            )
        found = [record.id for record in made.records.by_value(path, value)]
        if len(found) > 1:
            raise OrgError(
                "DUPLICATE_EXTERNAL_ID",
                f"{field}: more than one record found for external id field",
                status=300,
                fields=(field,),
            )
        return found

    def schema(self, schema_id: str) -> str | None:
        """The JSON of an event schema; None for an id never given."""
        return self._schemas.get(schema_id)

    def register_schema(self, schema_id: str, schema_json: str) -> None:
        """Make a schema known that was not made here."""
        self._schemas[schema_id] = schema_json

    def current_schema(self, name: str) -> str:
        """The schema id that new events of an entity or a platform event are written with."""
        event = self.platform_events.get(name)
        return event.schema.schema_id if event is not None else self.entities[name].layout.schema_id

    def limits(self) -> dict[str, dict[str, int]]:
        """The answer of GET /limits."""
        return self.usage.limits()

    def hidden(self, entity: str) -> frozenset[str]:
        """Fields of an entity that the reading user may not see."""
        return self._hidden.get(entity, frozenset())

    def read_only(self, entity: str) -> frozenset[str]:
        """Fields of an entity that the API's users may not set."""
        prefix = f"{entity}."
        return frozenset(
            name.removeprefix(prefix) for name in self._knobs.read_only_fields if name.startswith(prefix)
        )

    def live_paths(self, entity: str) -> tuple[str, ...]:
        """Paths a reader may see and whose every change is published: what a recorder can know for sure."""
        hidden = self.hidden(entity)
        return tuple(
            path
            for path, leaf in self.entities[entity].leaves.items()
            if leaf.field.publishes and leaf.field.in_queries and leaf.field.name not in hidden
        )

    def shape(self, entity: str, *, as_user: str = "") -> RowShape:
        """An entity's columns as this user sees them."""
        made = self.entity(entity)
        entity = made.name
        key = (entity, SYSTEM if as_user == SYSTEM else "")
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = RowShape(made, self._hidden_from(entity, as_user))
        return shape

    def _hidden_from(self, entity: str, as_user: str) -> frozenset[str]:
        return frozenset() if as_user == SYSTEM else self.hidden(entity)

    def _record(self, entity: str, record_id: str) -> Record:
        record = self.entity(entity).records.get(ids.with_suffix(record_id[:15]) if record_id else "")
        if record is None:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        return record

    def _look(self, entity: str, record_id: str) -> Mapping[str, Any]:
        made = self.entities.get(entity)
        record = made.records.get(record_id) if made is not None else None
        return record.values if record is not None else {}

    def _entity_of_id(self, record_id: str) -> Entity | None:
        prefix = record_id[:3]
        return next((entity for entity in self.entities.values() if entity.key_prefix == prefix), None)

    def _relationship(self, parent: str, name: str) -> tuple[str, str]:
        for child in self.entities.values():
            for field in child.fields:
                if parent in field.reference_to and (
                    descriptions.child_relationship(child, field, parent).lower() == name.lower()
                ):
                    return child.name, field.name
        raise OrgError("INVALID_TYPE", f"Didn't understand relationship '{name}' in FROM part of query call.")

    def _echoed(self, client: str) -> str:
        match self._knobs.client_echo:
            case "on":
                return client
            case "off":
                return ""
            case spoofed:
                return spoofed

    def _compiled(self, entity: str, condition: str) -> Any:
        return parse_condition(condition)(self._filter_field(entity), self.clock.now_ms())

    def _filter_field(self, entity: str) -> Any:
        return self.shape(entity, as_user=SYSTEM).resolve_in_event

    def _tell(self, events: Sequence[Published]) -> None:
        if self._held is not None:
            self._held.extend(events)
            return
        for event in events:
            self.truth.add(event)
        self.bus.publish([event for event in events if event.kind])
