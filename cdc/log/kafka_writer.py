"""The one writer of an org on Kafka: records and the positions they reach, one transaction at a time.

States: *closed* (no producer), *ready*, *in doubt* (no producer, and whether the last commit took place is not known).

    closed --open--> ready --append--> ready           committed
                     ready --append--> ready           aborted: LogUnavailable, the ordinals are given back
                     ready --append--> in doubt        LogUnavailable
                     in doubt --append--> ready        the positions topic says what happened
                     any --append--> closed            Fenced: somebody else has claimed the positions topic

Positions kept: `_committed` is what the positions topic holds as far as is known; `_attempted` is what an append in
doubt tried to make of it. After LogUnavailable a caller either appends the same records and positions again, which
writes them once, or opens again and goes on from the positions it gets.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from cdc.errors import CdcError, LogRefused, LogUnavailable
from cdc.log import headers, numbering, positions_codec
from cdc.log.kafka_errors import FENCED, error_of, fenced, translated
from cdc.log.kafka_options import KafkaLogOptions, transactional_config
from cdc.log.kafka_tail import Tail, read_tail
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.topics import POSITIONS
from cdc.ports.log import CONTROL_TOPICS, LogRecord, Positions

CALL_TIMEOUT_S = 5.0  # one call of the client; after it the same call is made again
OPEN_TIMEOUT_S = 60.0  # the broker may first have to end the transaction of a writer that was killed
COMMIT_TIMEOUT_S = 45.0  # then the outcome is found out another way
QUEUE_FULL_WAIT_S = 0.1
TWIN_CLAIMS_WITHIN_S = 3.0  # it fences first and claims right after
TWIN_LOOK_S = 0.1
CLOSE_TIMEOUT_S = 5.0


class KafkaWriter:
    """Not safe in several threads; `KafkaLog` holds a lock."""

    def __init__(self, org: str, options: KafkaLogOptions, topics: KafkaTopics) -> None:
        self._org = org
        self._options = options
        self._topics = topics
        self._owner = ""
        self._producer: Producer | None = None
        self._committed: Tail | None = None
        self._attempted: Tail | None = None
        self._instance = uuid.uuid4().hex
        self._appends = 0
        self._fenced = False

    def open(self, owner: str) -> Positions:
        """Fence any other writer, then read, then claim. The other order would let it commit after the read."""
        self._owner = owner
        self._fenced = False
        self._attempted = None
        # All at once, so that readers find them without looking again and again.
        self._topics.ensure(CONTROL_TOPICS)
        self._discard()
        self._producer = self._new_producer()
        self._committed = read_tail(self._options, self._topics)
        positions = self._committed.positions(self._org)
        if positions.org != self._org:
            raise LogRefused(
                f"the topics belong to the org {positions.org}, not to {self._org}",
                where=self._where(),
                do="give each org its own topic_prefix",
            )
        if self._committed.value is not None:
            # A claim: whoever was fenced by this finds in the positions topic that there is another owner.
            self.append([], positions)
        return positions

    def append(self, records: Sequence[LogRecord], positions: Positions) -> None:
        if self._committed is None:
            raise self._not_open()
        value = positions_codec.encode(positions)
        if self._producer is None and self._settle(self._committed, value):
            return
        committed = self._committed
        ordered = numbering.placed(records, committed.next_ordinal, positions)
        numbering.check_values(records)
        names = {topic: self._topics.full_name(topic) for topic in {record[0] for record in records}}
        self._topics.ensure(names)
        last_numbers = dict(committed.last_numbers)
        producer = self._ready()
        try:
            producer.begin_transaction()
            control = self._produce(producer, ordered, names, committed.control, last_numbers) + 1
            last_numbers[POSITIONS] = control
            self._appends += 1
            made = Tail(
                value, f"{self._instance}-{self._appends}", positions.next_ordinal, control, last_numbers
            )
            self._produce_positions(producer, made)
            self._attempted = made
            _call_until(COMMIT_TIMEOUT_S, producer.commit_transaction)
        except KafkaException as e:
            raise self._failed(e) from e
        except Exception:
            self._abort(producer)
            raise
        self._attempted = None
        self._committed = made

    def close(self) -> None:
        self._discard()
        self._committed = None

    def _produce(
        self,
        producer: Producer,
        records: Sequence[LogRecord],
        names: dict[str, str],
        control: int,
        last_numbers: dict[str, int],
    ) -> int:
        """Hand all records to the client; the number of the last control record. Runs once per change."""
        produce = producer.produce
        for (
            topic,
            key,
            value,
            ordinal,
            committed_at,
            channel,
            event_id,
            replay_id,
            schema_id,
            part,
            _,
        ) in records:
            if topic in CONTROL_TOPICS:
                control += 1
                last_numbers[topic] = control
                record = LogRecord(
                    topic, key, value, ordinal, committed_at, channel, event_id, replay_id, schema_id, part
                )
                record_headers = headers.of_control(record, control)
            else:
                record_headers = [
                    ("ordinal", str(ordinal)),
                    ("committed_at", str(committed_at)),
                    ("channel", channel),
                    ("event_id", event_id),
                    ("replay_id", replay_id),
                    ("schema_id", schema_id),
                ]
                if part:
                    record_headers.append(("part", part))
            try:
                produce(names[topic], value, key, headers=record_headers)
            except BufferError:
                self._produce_later(producer, names[topic], value, key, record_headers)
        producer.poll(0)
        return control

    def _produce_later(
        self, producer: Producer, name: str, value: bytes, key: str, record_headers: headers.Headers
    ) -> None:
        """The client's queue is full: wait for room, as long as a message may wait at all."""
        deadline = time.monotonic() + COMMIT_TIMEOUT_S
        while True:
            producer.poll(QUEUE_FULL_WAIT_S)
            try:
                producer.produce(name, value, key, headers=record_headers)
                return
            except BufferError as e:
                if time.monotonic() > deadline:
                    raise LogUnavailable("Kafka takes no records", where=self._where()) from e

    def _produce_positions(self, producer: Producer, made: Tail) -> None:
        record = LogRecord(POSITIONS, self._org, made.value or b"", made.next_ordinal - 1)
        record_headers = headers.of_control(record, made.control)
        record_headers.append((headers.CONTROLS, headers.of_last_numbers(made.last_numbers)))
        record_headers.append((headers.APPEND, made.append))
        producer.produce(self._topics.full_name(POSITIONS), record.value, self._org, headers=record_headers)

    def _failed(self, exception: KafkaException) -> CdcError:
        """What the caller is told; afterwards the state is ready (aborted), in doubt, or closed (fenced)."""
        error = error_of(exception)
        if error.code() in FENCED:
            return self._given_away(error)
        if error.txn_requires_abort() and self._producer is not None:
            self._abort(self._producer)
        else:
            # Retried for long enough, fatal, or of no class at all: only the positions topic knows the outcome.
            self._discard()
        return translated(error, "the records were not written", self._where())

    def _given_away(self, error: KafkaError) -> CdcError:
        """The broker knows a later epoch of this writer: a twin's, or its own doing after a transaction stood open
        for too long (a machine asleep, a broker away). A twin has written its claim; else this one goes on."""
        assert self._committed is not None
        attempted = {self._attempted.append} if self._attempted else set()
        known = {self._committed.append, *attempted}
        self._discard()
        deadline = time.monotonic() + TWIN_CLAIMS_WITHIN_S
        while True:
            if read_tail(self._options, self._topics).append not in known:
                return self._lost_ownership()
            if time.monotonic() > deadline:
                return LogUnavailable(
                    f"Kafka ended this writer's transaction: {error.str() or error.name()}",
                    where=self._where(),
                    do="it stood still for longer than a transaction may stay open, and goes on by itself",
                )
            time.sleep(TWIN_LOOK_S)

    def _abort(self, producer: Producer) -> None:
        try:
            _call_until(COMMIT_TIMEOUT_S, producer.abort_transaction)
            self._attempted = None
        except KafkaException:
            # A new producer of the same name makes the broker abort it.
            self._discard()

    def _settle(self, before: Tail, value: bytes) -> bool:
        """Leave doubt. True when the append in doubt took place and this is the same one again."""
        attempted = self._attempted
        known = {before.append} if attempted is None else {before.append, attempted.append}
        # First without fencing: whoever has written since then is the owner now.
        if read_tail(self._options, self._topics).append not in known:
            raise self._lost_ownership()
        self._producer = self._new_producer()
        self._committed = read_tail(self._options, self._topics)
        if self._committed.append not in known:
            raise self._lost_ownership()
        self._attempted = None
        took_place = attempted is not None and self._committed.append == attempted.append
        return took_place and self._committed.value == value

    def _new_producer(self) -> Producer:
        try:
            producer = Producer(transactional_config(self._options, self._topics.prefix, self._owner))
            _call_until(OPEN_TIMEOUT_S, producer.init_transactions)
        except KafkaException as e:
            raise translated(error_of(e), "Kafka does not make this the org's writer", self._where()) from e
        return producer

    def _ready(self) -> Producer:
        if self._producer is None:
            raise LogUnavailable("the writer has no connection", where=self._where())
        return self._producer

    def _not_open(self) -> CdcError:
        if self._fenced:
            return fenced(self._where())
        return LogRefused("the log is not open for writing", where=self._where(), do="call open first")

    def _lost_ownership(self) -> CdcError:
        self.close()
        self._fenced = True
        return fenced(self._where())

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge(blocking=False)
            # A producer that failed for good says so once more here; what it held was purged.
            with contextlib.suppress(KafkaException):
                producer.flush(CLOSE_TIMEOUT_S)

    def _where(self) -> str:
        return f"{self._topics.prefix} at {self._options.bootstrap_servers}"


def _call_until(limit_s: float, call: Callable[[float], Any]) -> None:
    """Make a call of the transactional client, and the same one again as long as its error says so."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            call(CALL_TIMEOUT_S)
            return
        except KafkaException as e:
            if not error_of(e).retriable() or time.monotonic() > deadline:
                raise
