"""An alert for a person at a terminal: what, who, against what is usual, and what to run next."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

SEEN_MAX = 4096
VALUE_CHARACTERS_MAX = 40
SAMPLES_SHOWN = 3
VALUES_SHOWN = 3

_RESET, _BOLD, _DIM = "\033[0m", "\033[1m", "\033[2m"
_COLOURS = {"page": "\033[31m", "digest": "\033[33m", "closed": "\033[32m"}


class TerminalSink:
    """Writes alerts to a stream; colours only where it is a terminal and NO_COLOR is not set."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._colours = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._seen: dict[tuple[str, int], None] = {}

    async def deliver(self, alert: Mapping[str, Any]) -> None:
        """Write one version of an alert; the same version again is nothing new."""
        version = (str(alert["alert_id"]), int(alert["version"]))
        if version in self._seen:
            return
        self._seen[version] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.pop(next(iter(self._seen)))
        self._stream.write(render(alert, colours=self._colours))
        self._stream.flush()

    async def close(self) -> None:
        self._stream.flush()


def render(alert: Mapping[str, Any], *, colours: bool = False) -> str:
    """The alert as a few lines, each a fact. Takes times as epoch ms and as ISO 8601 texts."""
    paint = _Paint(colours)
    tone = _COLOURS["closed"] if alert["state"] == "closed" else _COLOURS.get(alert["severity"], "")
    head = f"{str(alert['severity']).upper()} {alert['state']}"
    if alert.get("merged_into"):
        head += f" into {alert['merged_into']}"
    lines = [f"{paint(tone + _BOLD, head)}  {paint(_BOLD, _plain(alert['title']))}"]
    span = f"{_time(alert['first_change_at'])} to {_time(alert['last_change_at'])}"
    counts = ", ".join(_counted(alert[what], what) for what in ("records", "changes", "transactions"))
    lines.append(f"  when      {span} UTC; {counts}")
    lines += [f"  who       {_actor(actor)}" for actor in alert["actors"][:2]]
    lines += [f"  what      {text}" for target in alert["targets"][:2] if (text := _target(target))]
    lines += [f"  sample    {_sample(sample)}" for sample in alert["samples"][:SAMPLES_SHOWN]]
    lines += [
        f"  because   {_plain(line['sentence'])} {paint(_DIM, '(' + str(line['channel']) + ')')}"
        for line in alert["evidence"]
    ]
    lines.append(f"  usual     {_plain(alert['usual'])}")
    lines += [f"  setup     {_plain(change)}" for change in (alert.get("setup_before") or [])[:3]]
    if alert.get("coverage"):
        lines.append(f"  missing   {_plain(alert['coverage'])}")
    lines.append(f"  next      {paint(_BOLD, _plain(alert['next']))}")
    lines.append(paint(_DIM, f"  alert     {alert['alert_id']} version {alert['version']}"))
    return "\n".join(lines) + "\n"


class _Paint:
    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, codes: str, text: str) -> str:
        return f"{codes}{text}{_RESET}" if self._colours and codes else text


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what if count != 1 else what.removesuffix('s')}"


def _actor(actor: Mapping[str, Any]) -> str:
    name = f" ({_plain(actor['user_name'])})" if actor.get("user_name") else ""
    through = ", ".join(_plain(text) for text in (actor["origin"], actor["client"]) if text)
    return f"{_plain(actor['user_id']) or 'unnamed'}{name} through {through or 'no api'}"


def _target(target: Mapping[str, Any]) -> str:
    if target["field"] is None:
        return ""
    values: Sequence[Mapping[str, Any]] = target["top_values"]
    shares = ", ".join(f"{_value(v['value'])} {v['share']:.0%}" for v in values[:VALUES_SHOWN])
    return f"{_plain(target['entity'])}.{_plain(target['field'])}: {shares or 'many values'}"


def _sample(sample: Mapping[str, Any]) -> str:
    before = _value(sample["before"]) if sample.get("before_known") else "?"
    return f"{_plain(sample['record_id'])} {_plain(sample['field'])}: {before} -> {_value(sample['after'])}"


def _value(value: str | None) -> str:
    if value is None:
        return "null"
    text = _plain(value)
    return f"'{text[: VALUE_CHARACTERS_MAX - 1]}…'" if len(text) > VALUE_CHARACTERS_MAX else f"'{text}'"


def _plain(text: object) -> str:
    """Without control characters: a value of the org must not steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in str(text or ""))


def _time(at: int | str) -> str:
    if isinstance(at, str):
        return at.removesuffix("Z").partition(".")[0].replace("T", " ")
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
