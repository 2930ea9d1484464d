"""Queries whose rows are groups of records: GROUP BY, HAVING and the aggregate functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.simulator.errors import OrgError
from connectors.simulator.rows import rest_value
from connectors.simulator.soql import Query, is_aggregate
from connectors.simulator.soql_conditions import Resolve, Resolved, comparable

Group = list[Any]
"""The records of one group."""

_NUMBERS = frozenset({"int", "double", "currency", "percent"})


def grouped_rows(query: Query, records: Sequence[Any], resolve: Resolve, now: int) -> list[dict[str, Any]]:
    """The rows of an aggregate query. Raises MALFORMED_QUERY for fields that are not grouped by."""
    keys = [resolve(name) for name in query.group_by]
    for name in query.fields:
        if not is_aggregate(name) and name.lower() not in {one.lower() for one in query.group_by}:
            raise OrgError("MALFORMED_QUERY", f"Field must be grouped or aggregated: {name}")
    groups: dict[tuple[Any, ...], Group] = {} if keys else {(): list(records)}
    for record in records if keys else ():
        groups.setdefault(tuple(comparable(key, key.get(record)) for key in keys), []).append(record)
    found = list(groups.values())
    of_group = _resolve_in_group(query, resolve)
    if query.having is not None:
        condition = query.having(of_group, now)
        found = [group for group in found if condition(group)]
    for name, descending, nulls_last in reversed(query.order_by):
        key_of = _key(of_group(name), nulls_last=nulls_last, descending=descending)
        found.sort(key=key_of, reverse=descending)
    end = None if query.limit is None else query.offset + query.limit
    columns = [(column, of_group(name)) for name, column in _columns(query)]
    return [_row(columns, group) for group in found[query.offset : end]]


def _columns(query: Query) -> list[tuple[str, str]]:
    """Field as written, and what its column is called: its alias, its name, or expr0, expr1 …"""
    columns: list[tuple[str, str]] = []
    unnamed = 0
    for name, alias in zip(query.fields, query.aliases or ("",) * len(query.fields), strict=True):
        if not alias and "(" in name:
            alias = f"expr{unnamed}"
            unnamed += 1
        columns.append((name, alias or name.rpartition(".")[2]))
    return columns


def _row(columns: Sequence[tuple[str, Resolved]], group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
    for column, field in columns:
        value = field.get(group)
        row[column] = None if value is None else rest_value(field.described, value)
    return row


def _described(name: str, resolve: Resolve) -> str:
    function, inner = _parts(name)
    if function in ("COUNT", "COUNT_DISTINCT"):
        return "int"
    return "double" if function == "AVG" else resolve(inner).described


def _parts(name: str) -> tuple[str, str]:
    if not is_aggregate(name):
        return "", name
    function, _, rest = name.partition("(")
    return function, rest.removesuffix(")")


def _aggregate(name: str, records: Sequence[Any], resolve: Resolve) -> Any:
    function, inner = _parts(name)
    field = resolve(inner)
    values = [value for record in records if (value := field.get(record)) is not None]
    if function == "COUNT":
        return len(values)
    if function == "COUNT_DISTINCT":
        return len({comparable(field, value) for value in values})
    if function in ("SUM", "AVG") and field.described not in _NUMBERS:
        raise OrgError("MALFORMED_QUERY", f"field {inner} does not support aggregate operator {function}")
    if not values:
        return None
    made: Mapping[str, Callable[[], Any]] = {
        "MIN": lambda: min(values, key=lambda value: comparable(field, value)),
        "MAX": lambda: max(values, key=lambda value: comparable(field, value)),
        "SUM": lambda: sum(values),
        "AVG": lambda: sum(values) / len(values),
    }
    return made[function]()


def _resolve_in_group(query: Query, resolve: Resolve) -> Resolve:
    """Names of HAVING and ORDER BY: aggregates and grouped fields, by what is written or by alias."""
    aliases = {alias.lower(): name for name, alias in zip(query.fields, query.aliases, strict=False) if alias}

    def resolved(name: str) -> Resolved:
        wanted = aliases.get(name.lower(), name)
        if is_aggregate(wanted):
            return Resolved(
                name, _described(wanted, resolve), lambda group: _aggregate(wanted, group, resolve)
            )
        field = resolve(wanted)
        return Resolved(name, field.described, lambda group: field.get(group[0]))

    return resolved


def _key(field: Resolved, *, nulls_last: bool, descending: bool) -> Callable[[Group], Any]:
    first = nulls_last == descending

    def key(group: Group) -> tuple[bool, Any]:
        value = comparable(field, field.get(group))
        return (value is not None) == first, value if value is not None else 0

    return key
