"""An alert as every sink tells it: times as text, and without the values of fields that are classed.

The record in the log has epoch milliseconds; outside it is the JSON of contract.md, section 6.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from cdc.change.masking import Masked

TIMES = ("first_change_at", "last_change_at", "decided_at")


def told(alert: Mapping[str, Any], masked: Collection[str] = ()) -> dict[str, Any]:
    """The alert as JSON values; `masked` are `Entity.Field` whose values are left out wherever they stand."""
    out = {**alert, **{name: _instant(alert[name]) for name in TIMES}}
    return Masked(masked).alert(out) if masked else out


def _instant(at: Any) -> Any:
    if not isinstance(at, int):
        return at
    text = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
