"""What one piece of work took, and how it is shown."""

from __future__ import annotations

import json
import platform
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cdc.roles.process import calm_the_collector


@dataclass(slots=True)
class Figure:
    """A stage or a limit: how many changes, in how many seconds of wall and of this process's CPU."""

    name: str
    changes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    limit: str = ""
    limit_rate: float = 0.0
    bytes_kept: int = 0
    note: str = ""

    @property
    def rate(self) -> float:
        """Changes a second."""
        return self.changes / self.wall_s if self.wall_s else 0.0

    @property
    def cpu_per_million(self) -> float:
        """CPU seconds for a million changes."""
        return self.cpu_s * 1e6 / self.changes if self.changes else 0.0

    @property
    def ratio(self) -> float | None:
        """Of the limit measured in the same run."""
        return self.rate / self.limit_rate if self.limit_rate else None


class Stopwatch:
    """Wall and CPU seconds of this process (all its threads) since it was made or last read."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_s()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, _cpu_s() - self._cpu


@contextmanager
def measured(name: str, changes: int) -> Iterator[Figure]:
    """A figure that is filled in at the end of the block."""
    calm_the_collector()  # what earlier parts left behind is not this one's to look through
    figure, watch = Figure(name, changes), Stopwatch()
    yield figure
    figure.wall_s, figure.cpu_s = watch.read()


def in_series(figures: Sequence[Figure]) -> float:
    """The rate of several parts one after another on one core."""
    seconds = sum(f.wall_s / f.changes for f in figures if f.changes)
    return 1 / seconds if seconds else 0.0


def show(
    stages: Sequence[Figure],
    limits: Sequence[Figure],
    about: str,
    output: str | None,
    rivals: Sequence[tuple[Figure, Figure]] = (),
) -> None:
    """Tables, and the same as JSON where asked. `rivals`: a usual way, and our stage that does its work."""
    console = Console()
    console.print(about)
    table = Table(title="Stages, as they run live", title_justify="left")
    for column in ("stage", "changes/s", "CPU s per million", "of the limit", "limit"):
        table.add_column(column, justify="left" if column in ("stage", "limit") else "right")
    for f in stages:
        ratio = "" if f.ratio is None else f"{f.ratio:.0%}"
        table.add_row(f.name, f"{f.rate:,.0f}", f"{f.cpu_per_million:.1f}", ratio, f.limit)
    console.print(table)
    table = Table(title="Raw parts, same bytes, same run", title_justify="left")
    for column in ("part", "changes/s", "CPU s per million"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for f in limits:
        table.add_row(f.name, f"{f.rate:,.0f}", f"{f.cpu_per_million:.1f}")
    console.print(table)
    if rivals:
        table = Table(title="The usual ways, same events, same run", title_justify="left")
        for column in (
            "way",
            "changes/s",
            "CPU s per million",
            "ours, times as fast",
            "CPU, times as little",
        ):
            table.add_column(column, justify="left" if column == "way" else "right")
        for way, ours in rivals:
            times = ours.rate / way.rate if way.rate else 0.0
            less = way.cpu_per_million / ours.cpu_per_million if ours.cpu_per_million else 0.0
            table.add_row(
                way.name,
                f"{way.rate:,.0f}",
                f"{way.cpu_per_million:.1f}",
                f"{times:.1f} ({ours.name})",
                f"{less:.1f}",
            )
        console.print(table)
    for f in stages:
        if f.bytes_kept:
            console.print(
                f"{f.name}: {f.bytes_kept / f.changes:,.0f} bytes on disk a change, before sealing."
            )
        if f.note:
            console.print(f"{f.name}: {f.note}.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(
        f"Peak memory of the bench process: {peak:,.0f} MB. {platform.machine()}, Python {platform.python_version()}."
    )
    if output:
        body = {
            "about": about,
            "stages": [{**asdict(f), "rate": f.rate, "ratio": f.ratio} for f in stages],
            "limits": [{**asdict(f), "rate": f.rate} for f in limits],
            "rivals": [{**asdict(f), "rate": f.rate, "beside": ours.name} for f, ours in rivals],
        }
        Path(output).write_text(json.dumps(body, indent=2) + "\n")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
