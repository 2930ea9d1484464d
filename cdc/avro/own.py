"""Records of our own schemas in the log, full states above all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.own import decode, encode

__all__ = ["RECORD_STATE", "RECORD_STATE_SCHEMA_ID", "decode", "encode", "encode_record_states"]

RECORD_STATE: Final = "record_state"

RECORD_STATE_SCHEMA_ID: Final = "sfcdc.record_state"
"""The `schema_id` header of a full state: it travels in the topics of change events."""


def encode_record_states(states: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Full states (`schemas/record_state.avsc`), each framed. ValueError says what does not fit."""
    return [encode(RECORD_STATE, state) for state in states]
