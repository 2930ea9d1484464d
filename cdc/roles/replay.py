"""A replay as it is asked for: times settled, envelope and target made from the settings, then run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cdc.answer.fields import Field, Fields
from cdc.errors import BadArgument
from cdc.replay.envelope import ChangeEnvelope, DebeziumEnvelope, Envelope
from cdc.replay.files import NdjsonTarget, ParquetTarget, StdoutTarget
from cdc.replay.kafka import KafkaReplay, KafkaTarget
from cdc.replay.run import Progress, replay
from cdc.replay.stream import START, Ask, Place, Plan, Span, plan_of
from cdc.replay.target import Identity, Target, split_target
from cdc.roles.build import kafka_options
from cdc.settings import Settings


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asked for. Of `snapshot` and `with_schema` None is what suits envelope and target."""

    to: str
    from_time: str | None = None
    to_time: str | None = None
    from_before: str | None = None
    to_before: str | None = None
    entities: tuple[str, ...] = ()
    envelope: str = "change"
    snapshot: bool | None = None
    with_schema: bool | None = None
    commit_timestamps: bool = False
    rate: float | None = None
    again: bool = False


@dataclass(slots=True)
class Begun:
    """Told when the replay begins: its plan, where it goes on, and the order with its times settled."""

    plan: Plan
    after: Place
    moments: dict[str, str]


def run_replay(
    settings: Settings,
    ask: Ask,
    order: Order,
    begun: Callable[[Begun], None] = lambda _: None,
    told: Callable[[Progress], None] = lambda _: None,
) -> tuple[Progress, Plan]:
    """Errors: BadArgument, NotFound, LogUnavailable, LogRefused, DiskFull."""
    kind, _ = split_target(order.to)
    if order.rate is not None and order.rate <= 0:
        raise BadArgument(f"a rate is more than 0 messages a second, not {order.rate:g}")
    if order.commit_timestamps and kind != "kafka":
        raise BadArgument("--timestamp commit goes with kafka:TOPIC")
    entities = order.entities or tuple(row[0] for row in ask("entities")["rows"])
    moments = _settled(ask, order)
    snapshot = order.envelope == "debezium" if order.snapshot is None else order.snapshot
    with_schema = kind == "kafka" if order.with_schema is None else order.with_schema
    target = _target(settings, order, moments, entities, snapshot, with_schema)
    try:
        after = target.begin()
        span = Span(order.entities, target.moments)
        plan = plan_of(ask, span)
        begun(Begun(plan, after, dict(target.moments)))
        envelope = _envelope(ask, order, plan, with_schema, target)
        progress = replay(
            ask, span, plan, envelope, target, after=after, snapshot=snapshot, rate=order.rate, told=told
        )
        return progress, plan
    finally:
        target.close()


def is_resumed(after: Place) -> bool:
    return after != START


def _settled(ask: Ask, order: Order) -> dict[str, str]:
    """Times as they stay: `-1h` as a time, and now as the ordinal behind everything recorded."""
    moments: dict[str, str] = {}
    for side, at, before in (
        ("from", order.from_time, order.from_before),
        ("to", order.to_time, order.to_before),
    ):
        if side == "from" and at is None and before is None:
            continue
        [[time, cut]] = ask("moment", at=at, before=before)["rows"]
        moments |= {side: time} if time is not None else {f"{side}_before": cut}
    return moments


def _target(
    settings: Settings,
    order: Order,
    moments: dict[str, str],
    entities: tuple[str, ...],
    snapshot: bool,
    with_schema: bool,
) -> Target:
    kind, name = split_target(order.to)
    parts = {
        "org": settings.org.alias,
        "to": order.to,
        "entities": sorted(entities) if order.entities else None,
        "envelope": order.envelope,
        "snapshot": snapshot,
        "with_schema": with_schema,
    }
    if kind == "kafka":
        # The topic is all there is to remember by, and holds many replays: only settled times tell them apart.
        identity = Identity({**parts, **moments})
        topic = KafkaReplay(name, kafka_options(settings), order.commit_timestamps)
        if order.again:
            raise BadArgument("--again is for files", do="name another topic, or other times")
        return KafkaTarget(topic, identity, moments, entities)
    asked = [order.from_time, order.to_time, order.from_before, order.to_before]
    identity = Identity({**parts, "asked": asked})
    if kind == "ndjson":
        return NdjsonTarget(name, identity, moments, again=order.again)
    return (
        ParquetTarget(name, identity, moments, again=order.again)
        if kind == "parquet"
        else StdoutTarget(moments)
    )


def _envelope(ask: Ask, order: Order, plan: Plan, with_schema: bool, target: Target) -> Envelope:
    if order.envelope == "change":
        return ChangeEnvelope()
    if order.envelope != "debezium":
        raise BadArgument("this is no envelope", where=order.envelope[:40], do="use change or debezium")

    def fields_of(entity: str) -> Fields:
        rows = ask("fields", entity=entity)["rows"]
        return Fields(entity, {path: Field(path, name, kind, tuple(to)) for path, name, kind, to in rows})

    return DebeziumEnvelope(plan.org, fields_of, with_schema, target.has_tombstones)
