"""Entity tags of answers that pages ask for again and again: what has not changed is neither asked nor sent anew.

What a page polls depends on what the journal has taken from the log, on what was done to it here, and for the
status on what is in trouble and the wall clock, which tells a quiet channel from a dead one. All of it is at hand
without a question to the journal.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from cdc.ports.log import Checkpoint

TAGGED = frozenset({"status", "rates", "alerts", "incidents", "coverage"})
GOOD_FOR_S = 5.0
"""What no commit tells (a segment that was sealed, a channel that fell silent) is seen after so long."""


@dataclass(slots=True)
class Tags:
    """`start` tells one run of the process from another; `deeds` counts what was done besides commits."""

    start: str = field(default_factory=lambda: secrets.token_hex(8))
    deeds: int = 0

    def tag(self, request: web.Request, checkpoint: Checkpoint, more: Sequence[Any] = ()) -> str:
        """Of the answer this request gets now, as it was asked and for whom."""
        said = [
            self.start,
            self.deeds,
            sorted(checkpoint.offsets.items()),
            int(checkpoint.ordinal),
            int(time.monotonic() / GOOD_FOR_S),
            request.path_qs,
            request.headers.get("Accept", ""),
            *more,
        ]
        return f'W/"{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]}"'


def is_held(request: web.Request, tag: str) -> bool:
    """Whether the asker has that answer already."""
    held = request.if_none_match or ()
    return any(one.value == "*" or one.value == tag[3:-1] for one in held)
