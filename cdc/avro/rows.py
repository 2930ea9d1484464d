"""Many Avro bodies of one schema to one Arrow batch; bodies that cannot be read are left out, with the reason.

pyruhvro does the decoding, and all of what it raises is translated here. It does not check that texts are
UTF-8, nor that a body ends where its schema says: both are done here, over columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyruhvro

from cdc.avro.schema import TAIL, TAIL_NUMBER


@dataclass(frozen=True, slots=True)
class Rows:
    """`batch` has a row for each body not in `reasons`, in order; `reasons` is by index of the body."""

    batch: pa.RecordBatch
    reasons: dict[int, str] = field(default_factory=dict)


def decode_rows(bodies: Sequence[bytes], schema_json: str, *, whole: bool) -> Rows:
    """Decode with a schema of one record.

    `whole`: the schema ends in the tail field (`EventSchema.body_json`), and what is left over is an error.
    Otherwise whatever follows the schema's last field is ignored (`EventSchema.routing_json`).
    """
    attempt = _whole if whole else _beginning
    try:
        return Rows(attempt(bodies, schema_json))
    except _Unreadable:
        reasons = _find_unreadable(bodies, schema_json, attempt)
        return Rows(attempt([b for i, b in enumerate(bodies) if i not in reasons], schema_json), reasons)


class _Unreadable(Exception):
    """At least one of the bodies."""


class _Misread(_Unreadable):
    """The decoder stumbled inside a body, or ran past its end."""


_Attempt = Callable[[Sequence[bytes], str], pa.RecordBatch]


def _whole(bodies: Sequence[bytes], schema_json: str) -> pa.RecordBatch:
    batch = _beginning([body + TAIL for body in bodies], schema_json)
    tails = batch.column(batch.num_columns - 1).to_numpy(zero_copy_only=False)
    if np.any(tails != TAIL_NUMBER):
        raise _Unreadable("there are bytes after its end, so it is of another schema")
    return batch


def _beginning(bodies: Sequence[bytes], schema_json: str) -> pa.RecordBatch:
    try:
        batch = pyruhvro.deserialize_array(bodies if isinstance(bodies, list) else list(bodies), schema_json)
    except (ValueError, OverflowError) as e:
        raise _Misread(_sentence(e)) from e
    except BaseException as e:
        if type(e).__name__ != "PanicException":  # of the extension; its class cannot be imported
            raise
        raise _Misread(f"the decoder gave up: {e}") from e
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as e:
        raise _Unreadable(f"a text in it is not UTF-8 ({_sentence(e)})") from e
    return batch


def _find_unreadable(bodies: Sequence[bytes], schema_json: str, attempt: _Attempt) -> dict[int, str]:
    """By halving: a few bad bodies among many cost a few passes, not one call for each body."""
    reasons: dict[int, str] = {}
    stretches = [(0, len(bodies))]
    while stretches:
        begin, end = stretches.pop()
        try:
            attempt(bodies[begin:end], schema_json)
        except _Unreadable as e:
            if end - begin == 1:
                reasons[begin] = _reason(bodies[begin], schema_json, e)
            else:
                middle = (begin + end) // 2
                stretches += [(begin, middle), (middle, end)]
    return reasons


def _reason(body: bytes, schema_json: str, error: _Unreadable) -> str:
    """A body cut short makes the tail look like part of it; without the tail it is seen where it ends."""
    if not isinstance(error, _Misread):
        return str(error)
    try:
        _beginning([body], schema_json)
    except _Unreadable as e:
        return str(e)
    return str(error)


def _sentence(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    if "end of buffer" in text:
        return f"it is cut short ({text})"
    return text or type(error).__name__
