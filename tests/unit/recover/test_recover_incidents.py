"""What an alert means as an incident, and what narrows and widens one."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import BadArgument
from cdc.recover.incidents import MARGIN_MS, by_hand, narrowed, of_alert, widened
from cdc.recover.scope import Filter


def alert(**changed: Any) -> dict[str, Any]:
    actor = {"user_id": "u1", "origin": "", "client": "Loader", "share": 1.0}
    target = {"entity": "Account", "field": "Rating", "top_values": [{"value": None, "share": 0.95}]}
    given = {
        "alert_id": "a1",
        "title": "a load",
        "state": "open",
        "first_change_at": 10_000,
        "last_change_at": 20_000,
        "decided_at": 15_000,
        "kinds": {"UPDATE": 900},
        "actors": [actor],
        "targets": [target],
    }
    return {**given, **changed}


def test_an_open_alert_means_its_users_program_and_field_from_its_first_change_on() -> None:
    [meant] = of_alert(alert()).scope.include
    assert meant == Filter(
        from_at=10_000 - MARGIN_MS,
        users=("u1",),
        origins=("",),
        clients=("Loader",),
        entities=("Account",),
        kinds=("UPDATE",),
        touching=("Rating",),
    )


def test_a_closed_alert_ends_with_its_last_change() -> None:
    [meant] = of_alert(alert(state="closed")).scope.include
    assert meant.to_at == 20_000 + MARGIN_MS


def test_deletes_and_updates_of_one_alert_are_both_meant() -> None:
    kinds = {"UPDATE": 5, "DELETE": 7, "GAP_UPDATE": 1}
    meant = of_alert(alert(kinds=kinds)).scope.include
    assert [(f.kinds, f.touching) for f in meant] == [(("DELETE",), ()), (("UPDATE",), ("Rating",))]


def test_where_the_listed_users_are_not_all_of_them_what_was_written_is_meant() -> None:
    crowd = [{"user_id": f"u{n}", "origin": "", "client": "", "share": 0.1} for n in range(5)]
    [meant] = of_alert(alert(actors=crowd)).scope.include
    assert meant.users == ()
    assert meant.values == (None,)


def test_an_incident_by_hand_that_would_mean_everything_is_refused() -> None:
    for filters in ([], [Filter()]):
        with pytest.raises(BadArgument, match="needs at least one filter"):
            by_hand(filters, title="", fields=(), opened_at=1)


def test_narrowing_and_widening_make_the_next_version() -> None:
    first = by_hand([Filter(users=("u1",))], title="x", fields=(), opened_at=1)
    second = narrowed(first, [Filter(entities=("Account",))], [Filter(records=("r",))])
    third = widened(second, [Filter(transactions=("t",))])
    assert [i.version for i in (first, second, third)] == [1, 2, 3]
    assert third.scope.include == (Filter(users=("u1",)), Filter(transactions=("t",)))
    assert (third.scope.within, third.scope.without) == (
        (Filter(entities=("Account",)),),
        (Filter(records=("r",)),),
    )
