"""The blast radius drawn: when it happened, and how much of what. In a terminal, and as SVG.

Both are made from `Blast.as_json()` and say the same: a column a stretch of time, a bar a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

BARS_MAX = 14
BLOCKS = "▁▂▃▄▅▆▇█"
TERMINAL_BAR = 30

WIDTH, LEFT, BAR_H, TIME_H = 900, 300, 22, 90
INK, DIM, BAD, MUTED = "#1d2733", "#6b7785", "#c2410c", "#e5e9ee"


def in_terminal(blast: Mapping[str, Any]) -> list[str]:
    """Lines of text; no colours, so that they read the same in a pipe."""
    times, bars = blast["times"], _bars(blast)
    lines = []
    if times:
        most = max(t["records"] for t in times)
        lines.append("".join(BLOCKS[min(7, t["records"] * 8 // (most + 1))] for t in times))
        lines.append(
            f"{times[0]['at'][:19]}Z, {times[0]['seconds']} s a column, at most {most:,} records in one"
        )
    width = max((len(name) for name, _ in bars), default=0)
    most = max((count for _, count in bars), default=1)
    lines += [
        f"{name:<{width}} {'█' * max(1, count * TERMINAL_BAR // most)} {count:,}" for name, count in bars
    ]
    return lines


def as_svg(blast: Mapping[str, Any]) -> str:
    """A picture of its own: no script, no font to fetch, readable when printed."""
    totals, bars = blast["totals"], _bars(blast)
    height = 70 + TIME_H + 50 + len(bars) * BAR_H + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(str(blast['title']))}</title>",
        _text(20, 26, str(blast["title"])[:110], INK, "bold"),
        _text(
            20,
            48,
            f"{totals['records']:,} records, {totals['changes']:,} changes, {totals['transactions']:,} transactions",
            DIM,
        ),
        *_time_columns(blast["times"]),
        *_field_bars(bars, 70 + TIME_H + 50),
        "</svg>",
    ]
    return "\n".join(parts)


def _bars(blast: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The largest, by entity and field, or by kind where nothing is written to a field."""
    rows = blast["fields"]
    named = [(f"{r['entity']}.{r['field']}" if r["field"] else f"{r['entity']} {r['kind']}", r) for r in rows]
    return [(name, int(row["records"])) for name, row in named[:BARS_MAX]]


def _time_columns(times: Sequence[Mapping[str, Any]]) -> list[str]:
    if not times:
        return []
    most = max(t["records"] for t in times)
    step = (WIDTH - 40) / max(len(times), 20)
    base = 70 + TIME_H
    out = [f'<line x1="20" y1="{base}" x2="{WIDTH - 20}" y2="{base}" stroke="{MUTED}"/>']
    for n, one in enumerate(times):
        high = max(1.0, one["records"] / most * (TIME_H - 10))
        out.append(
            f'<rect x="{20 + n * step:.1f}" y="{base - high:.1f}" width="{max(1.0, step - 1):.1f}" '
            f'height="{high:.1f}" fill="{BAD}"><title>{escape(str(one["at"]))}: {one["records"]:,} records</title></rect>'
        )
    said = f"{times[0]['at'][:19]}Z to {times[-1]['at'][:19]}Z, {times[0]['seconds']} s a column"
    return [*out, _text(20, base + 18, said, DIM)]


def _field_bars(bars: Sequence[tuple[str, int]], top: int) -> list[str]:
    most = max((count for _, count in bars), default=1)
    out = []
    for n, (name, count) in enumerate(bars):
        y = top + n * BAR_H
        wide = max(2.0, count / most * (WIDTH - LEFT - 100))
        out.append(_text(20, y + 14, name[:42], INK))
        out.append(
            f'<rect x="{LEFT}" y="{y + 2}" width="{wide:.1f}" height="{BAR_H - 6}" fill="{BAD}" opacity="0.8"/>'
        )
        out.append(_text(LEFT + wide + 8, y + 14, f"{count:,}", DIM))
    return out


def _text(x: float, y: float, text: str, fill: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y}" fill="{fill}" font-weight="{weight}">{escape(text)}</text>'
