"""Running a query: which records, in which order, and their rows when a page is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.rows import Column, RowShape, attributes, rest_value
from connectors.simulator.soql import Query, TypeOf
from connectors.simulator.soql_conditions import Resolved, comparable
from connectors.simulator.soql_functions import FOR_READING, function_of
from connectors.simulator.soql_groups import grouped_rows

FIELDS_ALL_ROWS_MAX = 200
"""FIELDS(ALL) and FIELDS(CUSTOM) need a LIMIT of at most so many."""

Shape = Callable[[str], RowShape]
EntityOfId = Callable[[str], Entity | None]
Relationships = Callable[[str, str], tuple[str, str]]
"""(parent entity, name of its children) -> (child entity, path of the reference). Raises OrgError."""


class Rows:
    """The result of a query: `total` rows. `page` makes the rows it is asked for, as they are then.

    So pages are no snapshot: the ids were found when the query ran, the rows are read when the page is.
    A record that is gone altogether by then is missing from its page. With `snapshot` all rows are made at once.
    """

    def __init__(
        self,
        total: int,
        page: Callable[[int, int], list[dict[str, Any]]],
        *,
        counts: bool = False,
        columns: tuple[str, ...] = (),
    ) -> None:
        self.total = total
        self.columns = columns
        self.counts = counts
        self._page = page

    def page(self, start: int, count: int) -> list[dict[str, Any]]:
        """Rows `start` up to `start + count`, read now."""
        return [] if self.counts else self._page(start, count)

    def all(self) -> list[dict[str, Any]]:
        """Every row, read now."""
        return self.page(0, self.total)

    @staticmethod
    def made(shape: RowShape, fields: Sequence[str], records: Sequence[Record]) -> list[dict[str, Any]]:
        """Rows of records as JSON."""
        columns = [shape.column(name) for name in fields]
        return [_row(shape.entity.name, columns, record) for record in records]


def run_query(
    query: Query,
    *,
    shape: Shape,
    entity_of_id: EntityOfId,
    now: int,
    include_deleted: bool,
    snapshot: bool,
    relationships: Relationships,
) -> Rows:
    """Choose and order the records. Raises MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE."""
    return _run(
        query,
        _Asking(shape, entity_of_id, now, include_deleted, relationships),
        snapshot=snapshot,
    )


@dataclass(frozen=True, slots=True)
class _Asking:
    """What every query inside a query shares with the one around it."""

    shape: Shape
    entity_of_id: EntityOfId
    now: int
    include_deleted: bool
    relationships: Relationships


def _run(query: Query, asking: _Asking, *, snapshot: bool) -> Rows:
    seen = asking.shape(query.entity)
    related = _Related(seen, asking)
    if query.aggregates:
        return _grouped(query, seen, related, asking)
    columns = [] if query.counts else _columns(query, seen, related)
    columns += [_children(child, seen.entity, asking) for child in query.children]
    columns += [related.type_of(one) for one in query.types]
    chosen = _chosen(query, seen.entity, related, asking)
    if query.counts:
        return Rows(len(chosen), lambda start, count: [], counts=True)
    entity = seen.entity
    named = tuple(
        f"{column}.{name.rpartition('.')[2]}" if "." in name else column
        for (column, _), name in zip(columns, query.fields, strict=False)
    )
    if snapshot:
        rows = [_row(entity.name, columns, record) for record in chosen]
        return Rows(len(rows), lambda start, count: rows[start : start + count], columns=named)
    record_ids = [record.id for record in chosen]

    def page(start: int, count: int) -> list[dict[str, Any]]:
        found = (entity.records.get(record_id) for record_id in record_ids[start : start + count])
        return [_row(entity.name, columns, record) for record in found if record is not None]

    return Rows(len(record_ids), page, columns=named)


def _grouped(query: Query, seen: RowShape, related: _Related, asking: _Asking) -> Rows:
    """Rows of groups of records."""
    everything = replace(query, order_by=(), limit=None, offset=0)
    rows = grouped_rows(query, _chosen(everything, seen.entity, related, asking), related, asking.now)
    return Rows(len(rows), lambda start, count: rows[start : start + count])


def _children(child: Query, parent: Entity, asking: _Asking) -> tuple[str, Column]:
    """A column that holds the rows of a subquery, null where there are none."""
    found = asking.relationships(parent.name, child.entity)
    shape = asking.shape(found[0])
    inner = replace(child, entity=found[0])
    related = _Related(shape, asking)
    columns = _columns(inner, shape, related)

    def rows(record: Record) -> Any:
        children = shape.entity.records.by_value(found[1], record.id)
        chosen = _ordered(inner, _kept(inner, children, related, asking), related)
        if not chosen:
            return None
        made = [_row(shape.entity.name, columns, one) for one in chosen]
        return {"totalSize": len(made), "done": True, "records": made}

    return child.entity, rows


def _chosen(query: Query, entity: Entity, resolve: _Related, asking: _Asking) -> list[Record]:
    return _ordered(query, _kept(query, _candidates(query, entity), resolve, asking), resolve)


def _kept(query: Query, records: Iterable[Record], resolve: _Related, asking: _Asking) -> list[Record]:
    condition = query.where(resolve, asking.now) if query.where is not None else None
    return [
        record
        for record in records
        if (asking.include_deleted or not (record.deleted or record.archived))
        and (condition is None or condition(record))
    ]


def _ordered(query: Query, chosen: list[Record], resolve: _Related) -> list[Record]:
    chosen.sort(key=lambda record: record.id)
    for name, descending, nulls_last in reversed(query.order_by):
        field = resolve(name)
        with_value = [record for record in chosen if field.get(record) is not None]
        without = [record for record in chosen if field.get(record) is None]
        with_value.sort(key=_sort_key(field), reverse=descending)
        chosen = with_value + without if nulls_last else without + with_value
    end = None if query.limit is None else query.offset + query.limit
    return chosen[query.offset : end]


def _candidates(query: Query, entity: Entity) -> Iterable[Record]:
    """The records a condition has to look at: those of the ids it names, where it names them."""
    if query.ids is None:
        return entity.records
    found = (entity.records.get(with_suffix(one[:15])) for one in dict.fromkeys(query.ids))
    return [record for record in found if record is not None]


def _sort_key(field: Resolved) -> Callable[[Record], Any]:
    """Rows sort as conditions compare, so that `Id > last` goes on where a page ended."""
    return lambda record: comparable(field, field.get(record))


def _row(entity: str, columns: Sequence[tuple[str, Column]], record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {"attributes": attributes(entity, record.id)}
    for name, value in columns:
        made = value(record)
        if isinstance(made, dict) and isinstance(row.get(name), dict) and "attributes" in made:
            row[name].update(made)
        else:
            row[name] = made
    return row


def _columns(query: Query, shape: RowShape, related: _Related) -> list[tuple[str, Column]]:
    columns: list[tuple[str, Column]] = []
    for name, alias in zip(query.fields, query.aliases or ("",) * len(query.fields), strict=True):
        if name.startswith("FIELDS("):
            wanted = name[7:-1]
            if wanted not in ("ALL", "STANDARD", "CUSTOM"):
                raise OrgError("MALFORMED_QUERY", f"unexpected token: '{wanted}'")
            if wanted != "STANDARD" and (query.limit is None or query.limit > FIELDS_ALL_ROWS_MAX):
                raise OrgError(
                    "MALFORMED_QUERY",
                    f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_ALL_ROWS_MAX}",
                )
            columns.extend(
                shape.column(one)
                for one in shape.names
                if wanted == "ALL" or one.endswith(("__c", "__s")) == (wanted == "CUSTOM")
            )
        elif name.partition("(")[0] in FOR_READING:
            columns.append(_for_reading(related.resolve(name), alias))
        elif "(" in name:
            raise OrgError("MALFORMED_QUERY", f"unexpected token: '{name}'")
        elif "." in name:
            columns.append(related.column(name))
        else:
            columns.append(shape.column(name))
    return columns


def _for_reading(field: Resolved, alias: str) -> tuple[str, Column]:
    return alias or field.name, lambda record: rest_value(field.described, field.get(record))


class _Related:
    """Names one relationship away: `Owner.Name`, `Account.Industry`."""

    def __init__(self, shape: RowShape, asking: _Asking) -> None:
        self._shape = shape
        self._asking = asking

    def __call__(self, name: str) -> Resolved:
        return self.resolve(name)

    def selected(self, query: Query) -> list[Any]:
        """The values that a query inside a condition selects: those of its one field."""
        shape = self._asking.shape(query.entity)
        related = _Related(shape, self._asking)
        if len(query.fields) != 1 or query.children:
            raise OrgError("MALFORMED_QUERY", "The inner select must select exactly one field")
        field = related.resolve(query.fields[0])
        return [field.get(record) for record in _chosen(query, shape.entity, related, self._asking)]

    def resolve(self, name: str) -> Resolved:
        """A field of the entity itself or of one it refers to."""
        if "(" in name:
            return function_of(name, self.resolve)
        if "." not in name:
            return self._shape.resolve(name)
        _, path, target, rest = self._parts(name)
        resolved = _Related(target, self._asking).resolve(rest)

        def get(record: Record) -> Any:
            parent = self._parent(record.values.get(path))
            return None if parent is None else resolved.get(parent)

        return Resolved(name, resolved.described, get)

    def column(self, name: str) -> tuple[str, Column]:
        """The nested object of a row; several columns of one relationship make one object."""
        relationship, path, target, rest = self._parts(name)
        further = _Related(target, self._asking)
        column_name, value = further.column(rest) if "." in rest else target.column(rest)

        def nested(record: Record) -> Any:
            parent = self._parent(record.values.get(path))
            if parent is None:
                return None
            return {"attributes": attributes(target.entity.name, parent.id), column_name: value(parent)}

        return relationship, nested

    def type_of(self, asked: TypeOf) -> tuple[str, Column]:
        """The nested object of TYPEOF: its columns depend on what a record's reference points at."""
        relationship, path, _, _ = self._parts(f"{asked.relationship}.Id")
        shapes = [(self._asking.shape(entity), names) for entity, names in asked.by_entity]
        columns = {
            shape.entity.name: [shape.column(name) for name in names] for shape, names in shapes
        }  # fmt: skip

        def nested(record: Record) -> Any:
            parent_id = record.values.get(path)
            entity = None if parent_id is None else self._asking.entity_of_id(parent_id)
            parent = self._parent(parent_id)
            if entity is None or parent is None:
                return None
            chosen = columns.get(entity.name)
            if chosen is None:
                shape = self._asking.shape(entity.name)
                chosen = [shape.column(name) for name in asked.otherwise]
            return _row(entity.name, chosen, parent)

        return relationship, nested

    def _parts(self, name: str) -> tuple[str, str, RowShape, str]:
        relationship, _, rest = name.partition(".")
        if relationship.lower() == self._shape.entity.name.lower() and "." not in rest:
            raise self._shape.no_such(name)
        for field in self._shape.entity.fields:
            if field.relationship.lower() == relationship.lower() and field.name not in self._shape.hidden:
                try:
                    return field.relationship, field.name, self._asking.shape(field.reference_to[0]), rest
                except OrgError as error:
                    raise self._shape.no_such(name) from error
        raise OrgError(
            "INVALID_FIELD",
            f"Didn't understand relationship '{relationship}' in field path. If you are attempting to use a "
            "custom relationship, be sure to append the '__r' after the custom relationship name.",
        )

    def _parent(self, record_id: str | None) -> Record | None:
        if record_id is None:
            return None
        entity = self._asking.entity_of_id(record_id)
        return None if entity is None else entity.records.get(record_id)
