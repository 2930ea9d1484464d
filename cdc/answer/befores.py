"""The values that an alert's samples had before it: the detector keeps hashes, the journal has the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.answer.definitions import sql

ALERTS_MAX = 5
"""Alerts of one answer whose samples are looked up: a list of many is not read for its samples."""


def with_befores(reader: Any, alert: Mapping[str, Any]) -> dict[str, Any]:
    """The alert, each sample with `before` and `before_known` as they were when its first change came.

    A value that the journal does not know stays unknown. Nothing in the alert's decision depends on it.
    """
    targets = alert["targets"] or [{"entity": ""}]
    entity = targets[0]["entity"]
    samples = [
        _looked_up(reader, entity, alert["first_change_at"], sample) for sample in alert["samples"] or []
    ]
    return {**alert, "samples": samples}


def _looked_up(reader: Any, entity: str, first_change_at: Any, sample: Mapping[str, Any]) -> dict[str, Any]:
    if sample.get("before_known"):
        return dict(sample)
    given = {"entity": entity, "record_id": sample["record_id"], "first": first_change_at}
    found = reader.execute(sql("first_change_since"), given).fetchone()
    if found is None or found[0] is None:
        return dict(sample)
    cut = {
        "entity": entity,
        "record_id": sample["record_id"],
        "seq": found[0],
        "field": sample["field"],
    }
    row = reader.execute(sql("value_before"), cut).fetchone()
    if row is None or not row[1]:
        return dict(sample)
    return {**sample, "before": row[0], "before_known": True}
