"""Nothing is applied while the burst may go on, unless it is said to be contained, or is long quiet."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cdc.errors import BadArgument
from cdc.recover.guard import LAG_MS, QUIET_S, refuse_while_active, refuse_while_growing
from cdc.recover.incidents import Incident
from cdc.recover.scope import Filter, Scope
from tests.unit.recover.story import A1, A2, BAD_USER, T0, Story


def ms(seconds: float) -> int:
    return round((T0 + timedelta(seconds=seconds) - T0.__class__(1970, 1, 1)).total_seconds() * 1000)


def incident(contained_at: int | None = None) -> Incident:
    return Incident("i-1", "x", Scope((Filter(users=(BAD_USER,)),)), 1, contained_at=contained_at)


def wrecked(quiet_s: float) -> Story:
    """Two bad changes, and an org that has been quiet since."""
    story = Story()
    for record_id in (A1, A2):
        story.create(record_id, {"Rating": "Hot"})
        story.update(record_id, {"Rating": "Bad"}, user=BAD_USER)
    passed = T0 + timedelta(seconds=story.seq + quiet_s)
    story.connection.execute("UPDATE store.channels SET passed_to = ?", [passed])
    return story


def test_a_burst_of_a_moment_ago_is_not_restored() -> None:
    with pytest.raises(BadArgument, match="its last change came 60 s ago"):
        refuse_while_growing(wrecked(60).connection, incident())


def test_a_burst_that_was_contained_is_restored_at_once() -> None:
    story = wrecked(1)
    refuse_while_growing(story.connection, incident(contained_at=ms(story.seq)))


def test_a_burst_that_goes_on_although_it_was_contained_is_not_restored() -> None:
    story = wrecked(1)
    with pytest.raises(BadArgument, match="was said to be contained, and goes on"):
        refuse_while_growing(story.connection, incident(contained_at=ms(story.seq) - LAG_MS - 1_000))


def test_a_burst_that_is_long_quiet_is_over() -> None:
    refuse_while_growing(wrecked(QUIET_S + 1).connection, incident())


def test_what_automation_made_waits_until_somebody_says_that_it_was_stopped() -> None:
    flow = {"kind": "flow", "name": "Stage_Rollout", "entity": "Opportunity", "may": ""}
    facts = {"automation": [flow], "by_automation": True}
    with pytest.raises(BadArgument, match="flow Stage_Rollout on Opportunity"):
        refuse_while_active(facts, incident())
    refuse_while_active(facts, incident(contained_at=1))
    refuse_while_active({**facts, "by_automation": False}, incident())
    refuse_while_active({**facts, "automation": [{**flow, "kind": "validation rule"}]}, incident())
