"""A replay from beginning to end: plan, go on where the target is, step by step, at a chosen rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cdc.ports.clock import Clock
from cdc.replay.envelope import Envelope, Message
from cdc.replay.stream import Ask, Place, Plan, Span, Step, steps
from cdc.replay.target import Target

PORTION_MESSAGES = 2_000
"""Messages written at a time: one Kafka transaction, one fsync."""

PORTIONS_PER_S = 10
"""With a rate, messages leave in so many portions a second."""


@dataclass(slots=True)
class Progress:
    """What was done; `place` is the last step written. `nameless` steps concern no single record and have no
    message in Debezium's form."""

    messages: int = 0
    steps: int = 0
    nameless: int = 0
    place: Place | None = None


def replay(
    ask: Ask,
    span: Span,
    plan: Plan,
    envelope: Envelope,
    target: Target,
    *,
    after: Place,
    snapshot: bool,
    rate: float | None = None,
    clock: Clock | None = None,
    wait: Callable[[float], None] = time.sleep,
    told: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Write every message behind a place, the one `target.begin()` gave, and end the target.

    `rate` is messages a second; `told` hears after each portion. Errors: those of the questions and of the target.
    """
    progress = Progress()
    pace = _Pace(rate, clock or Clock(), wait)
    portion_max = (
        PORTION_MESSAGES if rate is None else max(1, min(PORTION_MESSAGES, int(rate / PORTIONS_PER_S)))
    )
    all_steps = steps(ask, span, plan, snapshot=snapshot, after=after)
    for messages, place, count in _portions(all_steps, envelope, portion_max, progress):
        pace.wait(len(messages))
        target.write(messages, place)
        progress.messages += len(messages)
        progress.steps += count
        progress.place = place
        told(progress)
    target.end()
    return progress


def _portions(
    all_steps: Iterator[Step], envelope: Envelope, portion_max: int, progress: Progress
) -> Iterator[tuple[Sequence[Message], Place, int]]:
    """Messages of whole steps, so that a place never lies inside one."""
    waiting: list[Message] = []
    count, last = 0, None
    for step in all_steps:
        made = envelope.messages(step)
        progress.nameless += not made
        waiting += made
        count += 1
        last = step.place
        if len(waiting) >= portion_max:
            yield waiting, last, count
            waiting, count = [], 0
    if count and last is not None:
        yield waiting, last, count


class _Pace:
    """Holds back so that no more than `rate` messages leave in a second."""

    def __init__(self, rate: float | None, clock: Clock, wait: Callable[[float], None]) -> None:
        self._rate, self._clock, self._wait = rate, clock, wait
        self._free_at_s = clock.monotonic_s()

    def wait(self, messages: int) -> None:
        if self._rate is None:
            return
        now_s = self._clock.monotonic_s()
        self._free_at_s = max(self._free_at_s, now_s)
        if self._free_at_s > now_s:
            self._wait(self._free_at_s - now_s)
        self._free_at_s += messages / self._rate
