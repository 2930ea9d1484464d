"""Values that mean something have a type."""

from __future__ import annotations

from typing import NewType

Millis = NewType("Millis", int)
"""Epoch milliseconds, UTC."""

Ordinal = NewType("Ordinal", int)
"""The number capture gave a change: contiguous per org, from 1, in bus order within a channel."""

ReplayId = NewType("ReplayId", bytes)
"""A replay position: opaque bytes (10 on the wire), stored and sent back as they came."""

RecordId = NewType("RecordId", str)
"""An 18-character Salesforce record id."""

SchemaId = NewType("SchemaId", str)
"""The event bus's id of an immutable schema."""
