"""What holds for every channel of evidence, whatever it asks."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from cdc.detect.channels.burst import Burst
from cdc.detect.channels.duplicates import Duplicates
from cdc.detect.channels.guards import Guards
from cdc.detect.channels.loop import Loop
from cdc.detect.channels.novelty import Novelty
from cdc.detect.channels.value import OneValue
from cdc.detect.episode import Key
from cdc.detect.facts import DAY_MS, Facts, FieldFacts, Org
from cdc.detect.memory import BulkMemory
from cdc.detect.norms import Norms
from cdc.detect.state import pack, unpack
from cdc.detect.tallies import TopValue
from cdc.ports.evidence import Evidence

BEGIN = 1_788_739_200_000
STATE_BYTES_MAX = 6_000_000
ADVERSARIAL_KEYS = 30_000

CHANNELS: dict[str, Callable[[], Evidence]] = {
    "D0": lambda: Guards(BulkMemory(), Norms()),
    "D1": Burst,
    "D2": Novelty,
    "D3": Loop,
    "D4": lambda: OneValue(BulkMemory()),
    "D6": lambda: Duplicates(Norms()),
}
every_channel = pytest.mark.parametrize("make", CHANNELS.values(), ids=CHANNELS)


def facts(r: random.Random, user: str | None = None, entity: str | None = None) -> Facts:
    kind = r.choice(("UPDATE", "UPDATE", "CREATE", "DELETE"))
    key = Key(user or f"005{r.randrange(6)}", r.choice(("", "rest;erp")), entity or r.choice("ABC"), kind)
    records = r.choice((1, 3, 40, 200, 900))
    first = BEGIN + r.randrange(40) * DAY_MS
    written = () if kind == "DELETE" else tuple(field(r, code, records) for code in range(r.randint(1, 3)))
    org = Org(known_records=5000, first_at=BEGIN - 50 * DAY_MS, largest=1000, now=first)
    peaks = (min(records, 50), min(records, 200), records)
    return Facts(
        key=key,
        first_at=first,
        last_at=first + 60_000,
        records=records,
        changes=records * r.choice((1, 1, 6)),
        looped=records if r.random() < 0.2 else 0,
        transactions=max(1, records // 200),
        peaks=peaks,
        names_all=False,
        acknowledged=False,
        fields=written,
        org=org,
        sizes=(*peaks, records, 0, records),
    )


def field(r: random.Random, code: int, writes: int) -> FieldFacts:
    top = (TopValue(r.randrange(1, 9), "x", max(1, writes // r.choice((1, 3)))),)
    flipped = writes if r.random() < 0.1 else 0
    return FieldFacts(
        code, f"F{code}", writes, 0, 0, 1.5, top, flipped, writes // 2, 20, 5.0, ((0x103, writes),)
    )


def many(seed: int, count: int = 120) -> list[Facts]:
    r = random.Random(seed)
    return [facts(r) for _ in range(count)]


def learned(make: Callable[[], Evidence], seed: int = 1) -> Evidence:
    channel = make()
    for one in many(seed):
        channel.learn(one)
    return channel


def weights(channel: Evidence, seed: int = 2) -> list[Any]:
    return [channel.weigh(one) for one in many(seed)]


@every_channel
def test_what_is_looked_at_is_not_changed(make: Callable[[], Evidence]) -> None:
    channel, given = make(), many(3)
    before = copy.deepcopy(given)
    for one in given:
        channel.learn(one)
        channel.weigh(one)
    assert given == before


@every_channel
def test_the_same_past_gives_the_same_answer(make: Callable[[], Evidence]) -> None:
    assert weights(learned(make)) == weights(learned(make))


@every_channel
def test_weighing_teaches_nothing(make: Callable[[], Evidence]) -> None:
    channel = learned(make)
    before = pack(channel.state())
    weights(channel)
    assert pack(channel.state()) == before


@every_channel
def test_the_state_comes_back_through_bytes(make: Callable[[], Evidence]) -> None:
    channel, other = learned(make), make()
    other.restore(unpack(pack(channel.state())))
    assert pack(other.state()) == pack(channel.state())
    if channel.name not in ("D0", "D4", "D6"):  # those look at memories that others hold
        assert weights(other) == weights(channel)


@every_channel
def test_every_weight_has_a_sentence(make: Callable[[], Evidence]) -> None:
    channel = learned(make)
    for one in many(4, 400):
        weight = channel.weigh(one)
        if weight is not None:
            assert weight.value >= 0
            assert len(channel.explain(one, weight)) > 20


@every_channel
def test_a_flood_of_new_keys_does_not_grow_without_end(make: Callable[[], Evidence]) -> None:
    channel, r = make(), random.Random(5)
    for n in range(ADVERSARIAL_KEYS):
        channel.learn(facts(r, user=f"005{n:012d}", entity=f"E{n % 5000}__c"))
    assert len(pack(channel.state())) < STATE_BYTES_MAX
