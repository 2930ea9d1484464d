"""D2: is it the first time that this actor touches this entity, or these fields, in bulk?"""

from __future__ import annotations

from typing import Any

from cdc.detect.channels.burst import OWN_RESTORE
from cdc.detect.facts import Facts
from cdc.detect.memory import BulkMemory
from cdc.ports.evidence import Weight

NEVER_IN_BULK = 1.0
NEW_ENTITY = 0.8
NEW_CLIENT = 0.5
NEW_FIELD = 0.5
NEW_FIELD_PER_EPISODE = 0.1
"""An actor that changed other fields in bulk again and again, and never these, has a routine that is broken."""


class Novelty:
    """Owns the memory of bulk episodes. The nearer the actor has been to this before, the less it weighs."""

    name = "D2"

    def __init__(self) -> None:
        self.bulk = BulkMemory()

    def learn(self, facts: Facts) -> None:
        self.bulk.learn(facts)

    def weigh(self, facts: Facts) -> Weight | None:
        key = facts.key
        if facts.acknowledged or not facts.bulk or key.origin.endswith(OWN_RESTORE):
            return None
        if not self.bulk.user_anywhere(key.user):
            return Weight(NEVER_IN_BULK, ("this user has not changed records in bulk before",))
        if not self.bulk.user(key):
            said = f"this user has changed records in bulk, but not so {key.entity} records"
            return Weight(NEW_ENTITY, (said,))
        if not self.bulk.actor(key):
            return Weight(NEW_CLIENT, ("this user does it in bulk, but not through this client",))
        new = [
            f.name for f in facts.fields if 2 * f.writes >= facts.changes and not self.bulk.actor(key, f.code)
        ]
        if new:
            named, earlier = ", ".join(sorted(new)[:3]), len(self.bulk.actor(key))
            said = f"this actor has not written {named} in bulk before, in {earlier} bulk episodes remembered"
            return Weight(NEW_FIELD + NEW_FIELD_PER_EPISODE * (earlier - 1), (said,))
        return None

    def explain(self, facts: Facts, weight: Weight) -> str:
        return str(weight.about[0])

    def state(self) -> Any:
        return self.bulk.state()

    def restore(self, state: Any) -> None:
        self.bulk.restore(state)
