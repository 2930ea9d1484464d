"""Which records an entity is known to have: counted, from full reads and from what was seen changing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cdc.detect.distinct import Distinct

KNOWN_IDS_MAX = 4096
ENTITIES_MAX = 2000


class KnownRecords:
    """Distinct record ids per entity; entities beyond the cap are not counted."""

    def __init__(self) -> None:
        self._ids: dict[str, Distinct] = {}

    def add(self, entity: str, ids: Iterable[int]) -> None:
        ids_of = self._of(entity)
        if ids_of is not None:
            ids_of.add(ids)

    def merge(self, entity: str, ids: Distinct) -> None:
        ids_of = self._of(entity)
        if ids_of is not None:
            ids_of.merge(ids)

    def records(self, entity: str) -> int:
        found = self._ids.get(entity)
        return len(found) if found is not None else 0

    def _of(self, entity: str) -> Distinct | None:
        found = self._ids.get(entity)
        if found is None and len(self._ids) < ENTITIES_MAX:
            found = self._ids[entity] = Distinct(KNOWN_IDS_MAX)
        return found

    def state(self) -> Any:
        return {entity: [ids.level, list(ids.counts)] for entity, ids in sorted(self._ids.items())}

    def restore(self, state: Any) -> None:
        self._ids = {
            entity: Distinct.restored([KNOWN_IDS_MAX, level, ids, [1] * len(ids)])
            for entity, (level, ids) in state.items()
        }
