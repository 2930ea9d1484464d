"""What is known of a record before and after each event, as a replay goes through them in order.

An image is a record's status and the fields that are known; a field that is not known has no key. Events fold by
the few rules of architecture.md, "What an event says". Whatever else moves what is known (full states, stretches
that hide changes) is asked of the journal at its place and put in by the caller; so this holds no rule twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGES_MAX = 100_000
"""Images kept while a replay runs, the ones used last; an older one is asked for again when its record changes."""

Key = tuple[str, str]
"""Entity and record id."""

WHOLE = frozenset({"CREATE", "UNDELETE"})


@dataclass(frozen=True, slots=True)
class Image:
    """`status`: present, deleted or unknown. `fields` maps a path to its text, None where it is null."""

    status: str = "unknown"
    fields: Mapping[str, str | None] = field(default_factory=dict)


UNKNOWN = Image()


def concerns_many(kind: str, record_id: str) -> bool:
    """An event about records it does not name: an overflow, or a wildcard id."""
    return kind == "GAP_OVERFLOW" or "*" in record_id


def after_event(before: Image | None, event: Mapping[str, Any]) -> Image:
    """The image behind an event that names its record."""
    kind: str = event["kind"]
    known = {} if before is None else before.fields
    if kind.startswith("GAP_"):
        return Image("deleted" if kind == "GAP_DELETE" else "present")
    if kind == "DELETE":
        return Image("deleted", known)
    if kind in WHOLE:
        return Image("present", dict(event["said"]))
    fields = {**known, **event["said"]}
    for path in event["unknown_fields"]:
        fields.pop(path, None)
    return Image("present", fields)


class Images:
    """The newest images, and what an event does to them."""

    def __init__(self, images_max: int = IMAGES_MAX) -> None:
        self._images: OrderedDict[Key, Image | None] = OrderedDict()
        self._images_max = images_max

    def __contains__(self, key: Key) -> bool:
        return key in self._images

    def put(self, key: Key, image: Image | None) -> None:
        """What the journal says of a record at this place; None: it did not exist."""
        self._images[key] = image
        self._images.move_to_end(key)

    def get(self, key: Key) -> Image | None:
        return self._images.get(key)

    def shrink(self) -> None:
        """Forget the images used longest ago; between pages, since a page needs all of its own."""
        while len(self._images) > self._images_max:
            self._images.popitem(last=False)

    def apply(self, event: Mapping[str, Any]) -> tuple[Image | None, Image | None]:
        """The images before and after an event; both None where it names no record."""
        entity, record_id, kind = event["entity"], event["record_id"], event["kind"]
        if concerns_many(kind, record_id):
            self.forget(entity, keep_status=kind == "UPDATE")
            return None, None
        before = self._images.get((entity, record_id))
        after = after_event(before, event)
        self.put((entity, record_id), after)
        return before, after

    def forget(self, entity: str, record_id: str | None = None, *, keep_status: bool = False) -> None:
        """Nothing is known any more of a record, or of any of the entity."""
        for key in self._of(entity, record_id):
            image = self._images[key]
            if image is not None:
                self._images[key] = Image(image.status) if keep_status else UNKNOWN

    def _of(self, entity: str, record_id: str | None) -> Iterable[Key]:
        if record_id is not None:
            return [(entity, record_id)] if (entity, record_id) in self._images else []
        return [key for key in self._images if key[0] == entity]


def records_wanted(events: Iterable[Mapping[str, Any]], images: Images) -> Iterator[Key]:
    """Records whose image before their first event here is not at hand. A CREATE needs none."""
    seen: set[Key] = set()
    for event in events:
        key = (event["entity"], event["record_id"])
        if key in seen or key in images or concerns_many(event["kind"], event["record_id"]):
            continue
        seen.add(key)
        if event["kind"] != "CREATE":
            yield key
