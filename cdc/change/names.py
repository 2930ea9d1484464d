"""From an entity's name to the name of its change events, and back.

An event's schema names its root record `<Entity>ChangeEvent`, and `<Name>__ChangeEvent` for a custom
entity `<Name>__c`; topics and channels use the same name (Change Data Capture Developer Guide,
"Subscription Channels").
"""

from __future__ import annotations

CHANGE_SUFFIX = "ChangeEvent"
CUSTOM_CHANGE_SUFFIX = "__ChangeEvent"
CUSTOM_SUFFIX = "__c"


def change_topic(entity: str) -> str:
    """`Account` gives `AccountChangeEvent`, `Invoice__c` gives `Invoice__ChangeEvent`."""
    if entity.endswith(CUSTOM_SUFFIX):
        return entity.removesuffix(CUSTOM_SUFFIX) + CUSTOM_CHANGE_SUFFIX
    return entity + CHANGE_SUFFIX


def entity_of_topic(topic: str) -> str | None:
    """The entity a change topic is about; None for a topic that carries something else."""
    if topic.endswith(CUSTOM_CHANGE_SUFFIX):
        name = topic.removesuffix(CUSTOM_CHANGE_SUFFIX)
        return name + CUSTOM_SUFFIX if name else None
    if topic.endswith(CHANGE_SUFFIX):
        return topic.removesuffix(CHANGE_SUFFIX) or None
    return None
