"""Fields that Salesforce moves by itself when another is set: what is named is the field that was set.

Setting an opportunity's stage writes its probability and its forecast category too. Where the field that moves
them is written in the same changes, they are its companions and no evidence of their own; written without it,
they were set by somebody. From Salesforce's object reference (Opportunity, Case, Task, Lead, Contact, and compound names and
addresses).
"""

from __future__ import annotations

from collections.abc import Mapping

COMPANION_SHARE = 0.9
"""Of a companion's writes, so many must be in an episode that writes its mover at least as often."""

_OF_ANY = {
    "Name": ("FirstName", "LastName", "Name.FirstName", "Name.LastName"),
}
_STAGE = ("StageName",)
_OF_ENTITY: dict[str, dict[str, tuple[str, ...]]] = {
    "Opportunity": {
        "Probability": _STAGE,
        "ForecastCategory": (*_STAGE, "ForecastCategoryName"),
        "ForecastCategoryName": _STAGE,
        "IsClosed": _STAGE,
        "IsWon": _STAGE,
        "LastStageChangeDate": _STAGE,
        "LastStageChangeInDays": _STAGE,
        "ExpectedRevenue": ("Amount", "Probability", *_STAGE),
        "LastAmountChangedHistoryId": ("Amount",),
        "LastCloseDateChangedHistoryId": ("CloseDate",),
        "PushCount": ("CloseDate",),
        "Fiscal": ("CloseDate",),
        "FiscalQuarter": ("CloseDate",),
        "FiscalYear": ("CloseDate",),
    },
    "Case": {
        "IsClosed": ("Status",),
        "ClosedDate": ("Status",),
        "IsClosedOnCreate": ("Status",),
        "ContactEmail": ("ContactId",),
        "ContactPhone": ("ContactId",),
        "ContactMobile": ("ContactId",),
        "ContactFax": ("ContactId",),
    },
    "Task": {"IsClosed": ("Status",), "CompletedDateTime": ("Status",), "IsHighPriority": ("Priority",)},
    "Event": {
        "EndDateTime": ("StartDateTime", "DurationInMinutes"),
        "ActivityDateTime": ("StartDateTime",),
        "ActivityDate": ("StartDateTime",),
    },
    "Lead": {
        "ConvertedDate": ("IsConverted",),
        "ConvertedAccountId": ("IsConverted",),
        "ConvertedContactId": ("IsConverted",),
        "ConvertedOpportunityId": ("IsConverted",),
        "Status": ("IsConverted",),
    },
    "Contact": {"IsEmailBounced": ("EmailBouncedDate",), "EmailBouncedReason": ("EmailBouncedDate",)},
}
_OF_PLACE = ("Latitude", "Longitude", "GeocodeAccuracy")
_MOVE_PLACES = ("Street", "City", "PostalCode", "State", "StateCode", "Country", "CountryCode")


def movers_of(entity: str, name: str) -> tuple[str, ...]:
    """The fields that move this one by themselves; none for a field that somebody sets."""
    movers = _OF_ENTITY.get(entity, {}).get(name, _OF_ANY.get(name, ()))
    for place in _OF_PLACE:
        if not movers and name.endswith(place):
            before = name[: -len(place)]
            return tuple(before + mover for mover in _MOVE_PLACES)
    return movers


def companions(entity: str, writes: Mapping[str, int]) -> set[str]:
    """Of the fields written so many times by one episode, those that were moved and not set."""
    return {
        name
        for name, count in writes.items()
        if any(
            writes.get(mover, 0) >= COMPANION_SHARE * count
            for mover in movers_of(entity, name)
            if mover != name
        )
    }
