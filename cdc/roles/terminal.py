"""Alerts on a terminal, through the sink that renders them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


def print_alert(alert: Mapping[str, Any]) -> None:
    """One alert to stdout, for people; colours only on a terminal."""
    from connectors.sinks.terminal import TerminalSink

    asyncio.run(TerminalSink().deliver(alert))
