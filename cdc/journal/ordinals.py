"""Ordinals are contiguous: what proves that nothing recorded is lost on the way, and nothing counted twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from cdc.errors import StopProcess
from cdc.ports.columns import ColumnBatch
from cdc.ports.types import Ordinal


def next_ordinal_held(batch: ColumnBatch, held: Ordinal) -> Ordinal:
    """The last ordinal held once the batch is in: every number behind `held` is there, once, or named as missing.

    Errors: StopProcess naming the first number that is not there, or is there twice.
    """
    numbers = np.sort(_numbers(batch))
    new = numbers[numbers > held]
    expected_from = held + 1
    if batch.missing is not None and batch.missing[1] > held:
        expected_from = _after_missing(batch.missing, held, new)
    if len(new):
        steps = np.diff(new, prepend=expected_from - 1)
        if np.any(steps != 1):
            raise _not_contiguous(new, steps, held)
    last = int(new[-1]) if len(new) else expected_from - 1
    reached = int(batch.checkpoint.ordinal)
    if reached > last or (len(new) and reached < last):
        raise _hole(last + 1, reached) if reached > last else _beyond(reached, last)
    return Ordinal(last)


def _numbers(batch: ColumnBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate(
        [
            batch.changes["ordinal"].to_numpy(),
            batch.platform_events["ordinal"].to_numpy(),
            np.fromiter((bad.record.ordinal for bad in batch.bad), np.int64, len(batch.bad)),
            np.empty(0, np.int64) if batch.elsewhere is None else batch.elsewhere.ordinals,
        ]
    )


def _after_missing(missing: tuple[Ordinal, Ordinal], held: int, new: np.ndarray[Any, Any]) -> int:
    first, last = missing
    if first > held + 1:
        raise _hole(held + 1, first - 1)
    if len(new) and new[0] <= last:
        raise StopProcess(
            f"the log names ordinals {first} to {last} as missing and brings {new[0]}",
            where="journal",
            do="start again; if it says so again, `cdc journal --rebuild`",
        )
    return last + 1


def _not_contiguous(new: np.ndarray[Any, Any], steps: np.ndarray[Any, Any], held: int) -> StopProcess:
    at = int(np.flatnonzero(steps != 1)[0])
    number = int(new[at])
    if steps[at] == 0:
        return StopProcess(
            f"ordinal {number} came twice in one batch",
            where=f"journal, after {held}",
            do="start again; if it says so again, `cdc journal --rebuild`",
        )
    return _hole(number - int(steps[at]) + 1, number - 1)


def _hole(first: int, last: int) -> StopProcess:
    which = f"ordinal {first} is" if first == last else f"ordinals {first} to {last} are"
    return StopProcess(
        f"{which} not in the log's batch, and the log does not name them as missing",
        where="journal",
        do="start again; if it says so again, `cdc journal --rebuild` and `cdc verify`",
    )


def _beyond(reached: int, last: int) -> StopProcess:
    return StopProcess(
        f"the batch's checkpoint is at ordinal {reached}, and it brings {last}",
        where="journal",
        do="start again; if it says so again, `cdc journal --rebuild`",
    )
