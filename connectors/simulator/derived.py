"""What the org sets by itself when something else is set: stages, closed flags, expected revenue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Stage(NamedTuple):
    """What a stage means: probability in percent, closed, won, forecast category and its name."""

    probability: float
    closed: bool
    won: bool
    forecast: str
    forecast_name: str


STAGES: Mapping[str, Stage] = {
    "Prospecting": Stage(10.0, False, False, "Pipeline", "Pipeline"),
    "Qualification": Stage(10.0, False, False, "Pipeline", "Pipeline"),
    "Needs Analysis": Stage(20.0, False, False, "Pipeline", "Pipeline"),
    "Value Proposition": Stage(50.0, False, False, "Pipeline", "Pipeline"),
    "Proposal/Price Quote": Stage(75.0, False, False, "BestCase", "Best Case"),
    "Negotiation/Review": Stage(90.0, False, False, "Forecast", "Commit"),
    "Closed Won": Stage(100.0, True, True, "Closed", "Closed"),
    "Closed Lost": Stage(0.0, True, False, "Omitted", "Omitted"),
}

Now = int
Derive = Callable[[Mapping[str, Any], Mapping[str, Any], Now], dict[str, Any]]
"""(values before, values being set, stamp) -> values that follow from them."""


def _opportunity(before: Mapping[str, Any], setting: Mapping[str, Any], now: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    stage = STAGES.get(setting.get("StageName") or "")
    if stage is not None:
        made["IsClosed"], made["IsWon"] = stage.closed, stage.won
        made["ForecastCategory"], made["ForecastCategoryName"] = stage.forecast, stage.forecast_name
        made["LastStageChangeDate"] = now
        if "Probability" not in setting:
            made["Probability"] = stage.probability
    amount = setting.get("Amount", before.get("Amount"))
    probability = setting.get("Probability", made.get("Probability", before.get("Probability")))
    if {"Amount", "Probability", "StageName"} & setting.keys():
        known = amount is not None and probability is not None
        made["ExpectedRevenue"] = round(amount * probability / 100, 2) if known else None
    return made


def _case(before: Mapping[str, Any], setting: Mapping[str, Any], now: int) -> dict[str, Any]:
    if "Status" not in setting:
        return {}
    closed = setting["Status"] == "Closed"
    if closed == bool(before.get("IsClosed")):
        return {}
    return {"IsClosed": closed, "ClosedDate": now if closed else None}


_DERIVE: Mapping[str, Derive] = {"Opportunity": _opportunity, "Case": _case}


def derived(entity: str, before: Mapping[str, Any], setting: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Values that follow from those being set; nothing for entities without such rules."""
    derive = _DERIVE.get(entity)
    return derive(before, setting, now) if derive is not None else {}
