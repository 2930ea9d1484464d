"""Runs the detector, its rivals, and the detector without each channel, over the streams; writes the report.

python -m tests.scenario.suite --orgs small,medium --seeds reported --rivals --ablation --html report.html
"""

from __future__ import annotations

import argparse
import html
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from cdc.detect.detector import Detector, Options
from cdc.detect.recorded import batch_of
from tests.scenario.rivals import BOUNDS, Rival
from tests.scenario.score import Noise, Outcome, Row, Versions, interval, noise_of, rows_of, run, score
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


def outcome_of(spec: Spec, method: str = OURS) -> Outcome:
    """One stream judged by one method: `ours`, `ours without D4`, or a rival's name."""
    stream = Stream(spec)
    if method in BOUNDS:
        rival = Rival(method, *BOUNDS[method])
        truth, versions = run(stream, rival.take)
        return score(stream, truth, versions)
    without = frozenset({method.removeprefix("ours without ")} - {OURS})
    detector, spent = Detector("acme", Options(without=without)), 0.0

    def take(table: object) -> Versions:
        nonlocal spent
        began = time.process_time()
        versions = detector.take(batch_of(table, 0, "stream"))
        spent += time.process_time() - began
        return versions

    truth, versions = run(stream, take)
    found = score(stream, truth, versions)
    found.seconds, found.state_bytes = spent, len(detector.state())
    return found


def outcomes(specs: list[Spec], method: str = OURS, processes: int = 2) -> list[Outcome]:
    if processes == 1:
        return [outcome_of(spec, method) for spec in specs]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(partial(outcome_of, method=method), specs))


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
    specs: list[Spec], *, rivals: bool, ablation: bool, processes: int, say: bool = True
) -> list[tuple[str, str]]:
    """Sections of title and text."""
    ours = outcomes(specs, processes=processes)
    changes, seconds = sum(o.changes for o in ours), sum(o.seconds for o in ours)
    facts = [
        *noise_lines(noise_of(ours)),
        f"streams: {len(specs)}, changes: {changes:,}, {changes / max(seconds, 1e-9):,.0f} changes a second of one core",
        f"largest state: {max(o.state_bytes for o in ours) / 1e6:.1f} MB",
    ]
    sections = [("Per archetype", table([cells(row) for row in rows_of(ours)]) + "\n\n" + "\n".join(facts))]
    lines = [compared(OURS, ours)]
    if rivals:
        lines += [compared(name, outcomes(specs, name, processes)) for name in BOUNDS]
        sections.append(("Beside other methods, same streams", table(lines, COMPARED)))
    if ablation:
        without = [
            compared(f"without {c}", outcomes(specs, f"ours without {c}", processes)) for c in CHANNELS
        ]
        sections.append(("Without each channel", table([compared(OURS, ours), *without], COMPARED)))
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
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--html", default="")
    given = parser.parse_args(arguments)
    named = {"tuning": parameters()["tuning_seeds"], "reported": parameters()["reported_seeds"]}
    seeds = named.get(given.seeds) or [int(seed) for seed in given.seeds.split(",")]
    only = [int(part) for part in given.parts.split(",")] if given.parts else None
    specs = specs_of(given.orgs.split(","), seeds, only)
    sections = report(specs, rivals=given.rivals, ablation=given.ablation, processes=given.processes)
    if given.html:
        Path(given.html).write_text(page(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
