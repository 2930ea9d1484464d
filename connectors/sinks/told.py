"""An alert as every sink tells it: times as text, and without the values of fields that are classed.

The record in the log has epoch milliseconds; outside it is the JSON of contract.md, section 6.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

TIMES = ("first_change_at", "last_change_at", "decided_at")
MASK = "masked"


def told(alert: Mapping[str, Any], masked: Collection[str] = ()) -> dict[str, Any]:
    """The alert as JSON values; `masked` are `Entity.Field` whose values are left out wherever they stand."""
    out = {**alert, **{name: _instant(alert[name]) for name in TIMES}}
    if not masked:
        return out
    entities = {str(target["entity"]) for target in alert["targets"]}
    hidden = {m.partition(".")[2] for m in masked if m.partition(".")[0] in entities}
    values = _values(alert, hidden)
    out["samples"] = [
        {**s, "before": MASK, "after": MASK} if s["field"] in hidden else s for s in alert["samples"]
    ]
    out["targets"] = [
        {**t, "top_values": [{**v, "value": MASK} for v in t["top_values"]]}
        if f"{t['entity']}.{t['field']}" in masked
        else t
        for t in alert["targets"]
    ]
    out["title"] = _without(str(alert["title"]), values)
    out["evidence"] = [{**e, "sentence": _without(str(e["sentence"]), values)} for e in alert["evidence"]]
    return out


def _values(alert: Mapping[str, Any], hidden: Collection[str]) -> list[str]:
    """Values of hidden fields that the alert names, the longest first: sentences may quote them."""
    found = {str(s[side]) for s in alert["samples"] if s["field"] in hidden for side in ("before", "after")}
    found |= {str(v["value"]) for t in alert["targets"] if t["field"] in hidden for v in t["top_values"]}
    return sorted((v for v in found if v not in ("None", "")), key=len, reverse=True)


def _without(sentence: str, values: Collection[str]) -> str:
    for value in values:
        sentence = sentence.replace(f"'{value}'", MASK)
    return sentence


def _instant(at: Any) -> Any:
    if not isinstance(at, int):
        return at
    text = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
