"""Runs the detector, its rivals, and the detector without each channel, over the streams; writes the report.

python -m tests.scenario.suite --orgs small,medium --seeds reported --rivals --ablation --html report.html
"""

from __future__ import annotations

import argparse
import html
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa

from cdc.detect.detector import Detector, Options
from cdc.detect.recorded import batch_of
from tests.scenario.disguises import DISGUISES, Disguised
from tests.scenario.rivals import BOUNDS, Rival
from tests.scenario.score import Noise, Outcome, Row, Truth, Versions, interval, noise_of, rows_of, score
from tests.scenario.stream import Spec, Stream, parameters, parts

OURS = "ours"
CHANNELS = ("D0", "D1", "D2", "D3", "D4", "D5", "D6", "D7")
HEAD = (
    "",
    "incidents",
    "paged",
    "95 % interval",
    "records before",
    "least",
    "share of blast",
    "delay",
    "95 %",
    "right",
    "one alert",
)


def outcomes_of(spec: Spec, methods: Sequence[str] = (OURS,), disguise: str = "") -> dict[str, Outcome]:
    """One stream judged by each method: `ours`, `ours without D4`, or a rival's name. It is made once."""
    made = Stream(spec)
    stream = Disguised(made, DISGUISES[disguise]) if disguise else made
    truth, judges = Truth(), [_judge_of(method) for method in methods]
    for table in stream.tables():
        truth.see(table)
        plain = table.drop_columns(["label"])
        for judge in judges:
            judge.take(plain)
    found = {}
    for method, judge in zip(methods, judges, strict=True):
        outcome = found[method] = score(stream, truth, judge.versions)
        outcome.seconds, outcome.state_bytes = judge.seconds, judge.state_bytes()
    return found


class _Ours:
    """The detector, with one channel taken out or none; counts the time it takes by itself."""

    def __init__(self, method: str) -> None:
        without = frozenset({method.removeprefix("ours without ")} - {OURS})
        self._detector = Detector("acme", Options(without=without))
        self.versions: Versions = []
        self.seconds = 0.0

    def take(self, table: pa.Table) -> None:
        began = time.process_time()
        self.versions += self._detector.take(batch_of(table, 0, "stream"))
        self.seconds += time.process_time() - began

    def state_bytes(self) -> int:
        return len(self._detector.state())


class _Other:
    """A rival."""

    def __init__(self, method: str) -> None:
        self._rival = Rival(method, *BOUNDS[method])
        self.versions: Versions = []
        self.seconds = 0.0

    def take(self, table: pa.Table) -> None:
        self.versions += self._rival.take(table)

    def state_bytes(self) -> int:
        return 0


def _judge_of(method: str) -> _Ours | _Other:
    return _Other(method) if method in BOUNDS else _Ours(method)


def outcomes(
    specs: list[Spec], methods: Sequence[str] = (OURS,), processes: int = 2, disguise: str = ""
) -> dict[str, list[Outcome]]:
    """By method, the outcome of each stream."""
    judge = partial(outcomes_of, methods=methods, disguise=disguise)
    if processes == 1:
        found = [judge(spec) for spec in specs]
    else:
        with ProcessPoolExecutor(processes) as pool:
            found = list(pool.map(judge, specs))
    return {method: [one[method] for one in found] for method in methods}


def specs_of(orgs: Iterable[str], seeds: Iterable[int], only: Iterable[int] | None = None) -> list[Spec]:
    chosen = list(range(parts()) if only is None else only)
    return [Spec(org, seed, part) for seed in seeds for org in orgs for part in chosen]


# -- the report ---------------------------------------------------------------------------------------------


def cells(row: Row) -> list[str]:
    low, high = interval(row.paged, row.incidents)
    return [
        row.name,
        str(row.incidents),
        f"{100 * row.recall:.0f} %",
        f"{100 * low:.0f}–{100 * high:.0f} %",
        _number(row.before),
        _number(row.least),
        "–" if row.share != row.share else f"{100 * row.share:.0f} %",
        _span(row.delay_s),
        _span(row.delay95_s),
        f"{100 * row.right:.0f} %",
        f"{100 * row.single:.0f} %",
    ]


def _number(value: float) -> str:
    return "–" if value != value else f"{value:,.0f}"


def _span(seconds: float) -> str:
    if seconds != seconds:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def noise_lines(noise: Noise) -> list[str]:
    about = ", ".join(f"{name} ({count})" for name, count in noise.about[:8]) or "none"
    return [
        f"false pages per org and week: {noise.pages:.2f} ({about})",
        f"digest lines: {noise.digests:.2f}",
    ]


def table(rows: list[list[str]], head: tuple[str, ...] = HEAD) -> str:
    """Columns that fit, as Markdown."""
    widths = [max(len(row[at]) for row in [list(head), *rows]) for at in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [list(head), *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


COMPARED = ("method", "all paged", "bulk", "hard", "false pages a week", "records before", "delay")


def compared(name: str, found: list[Outcome]) -> list[str]:
    rows = {row.name: row for row in rows_of(found)}
    every = rows["= all"]
    recall = [f"{100 * rows[name].recall:.0f} %" for name in ("= all", "= bulk", "= hard")]
    return [name, *recall, f"{noise_of(found).pages:.2f}", _number(every.before), _span(every.delay_s)]


def report(
    specs: list[Spec], *, rivals: bool, ablation: bool, processes: int, disguise: str = "", say: bool = True
) -> list[tuple[str, str]]:
    """Sections of title and text."""
    others = list(BOUNDS) if rivals else []
    without = [f"ours without {channel}" for channel in CHANNELS] if ablation else []
    found = outcomes(specs, [OURS, *others, *without], processes, disguise)
    ours = found[OURS]
    changes, seconds = sum(o.changes for o in ours), sum(o.seconds for o in ours)
    facts = [
        *noise_lines(noise_of(ours)),
        f"streams: {len(specs)}, changes: {changes:,}, {changes / max(seconds, 1e-9):,.0f} changes a second of one core",
        f"largest state: {max(o.state_bytes for o in ours) / 1e6:.1f} MB",
    ]
    sections = [("Per archetype", table([cells(row) for row in rows_of(ours)]) + "\n\n" + "\n".join(facts))]
    for title, methods in (
        ("Beside other methods, same streams", others),
        ("Without each channel", without),
    ):
        if methods:
            lines = [compared(method, found[method]) for method in (OURS, *methods)]
            sections.append((title, table(lines, COMPARED)))
    if say:
        for title, text in sections:
            sys.stdout.write(f"{title}\n\n{text}\n\n")
    return sections


def page(sections: list[tuple[str, str]]) -> str:
    """The report as one HTML file without anything from elsewhere."""
    parts_of = []
    for title, text in sections:
        parts_of.append(f"<h2>{html.escape(title)}</h2>")
        for block in text.split("\n\n"):
            rows = [line.strip("| ").split("|") for line in block.splitlines() if line.startswith("|")]
            if not rows:
                parts_of += [f"<p>{html.escape(line)}</p>" for line in block.splitlines()]
                continue
            body = [rows[0], *rows[2:]]
            made = "".join(
                "<tr>" + "".join(f"<td>{html.escape(c.strip())}</td>" for c in row) + "</tr>" for row in body
            )
            parts_of.append(f"<table>{made}</table>")
    style = "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}td{border:1px solid #ccc;padding:.2em .6em}"
    return f"<!doctype html><meta charset=utf-8><title>Scenarios</title><style>{style}</style>{''.join(parts_of)}\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scenario.suite", description=__doc__)
    parser.add_argument("--orgs", default="small", help="small, medium, large; with commas")
    parser.add_argument("--seeds", default="tuning", help="tuning, reported, or numbers with commas")
    parser.add_argument("--parts", default="", help="numbers with commas; none: all")
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument(
        "--disguise", default="", choices=["", *DISGUISES], help="the streams in other clothes"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--html", default="")
    given = parser.parse_args(arguments)
    named = {"tuning": parameters()["tuning_seeds"], "reported": parameters()["reported_seeds"]}
    seeds = named.get(given.seeds) or [int(seed) for seed in given.seeds.split(",")]
    only = [int(part) for part in given.parts.split(",")] if given.parts else None
    specs = specs_of(given.orgs.split(","), seeds, only)
    sections = report(
        specs,
        rivals=given.rivals,
        ablation=given.ablation,
        processes=given.processes,
        disguise=given.disguise,
    )
    if given.html:
        Path(given.html).write_text(page(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
