"""Where alerts go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Sink(Protocol):
    """Idempotent on (alert_id, version): the same version twice is one delivery. Errors: RetryLater."""

    async def deliver(self, alert: Mapping[str, Any]) -> None: ...

    async def close(self) -> None: ...
