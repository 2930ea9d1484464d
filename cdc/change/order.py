"""The order in which what is known of a record is folded, and the time from which it counts.

`committed_at` has a resolution of one second and may run backwards on the bus, so it never orders
anything. Items fold by ordinal; what is *in* an answer about a time goes by the running maximum of
`committed_at` on the channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

READ_MARGIN_MS = 4_000
"""How far past the end of a read a change may lie that the row already holds.

1 s by which commit times of one transaction differ, 2 s by which the org's servers' clocks differ, and
1 s of the resolution of commit times. With 1 s alone wrong values are claimed where clocks are apart.
"""


class FoldRank(IntEnum):
    """What comes first among items at the same ordinal: a full state lies right behind its event."""

    EVENT = 0
    FULL_STATE = 1
    ABSENT = 2


class FoldKey(NamedTuple):
    """Sort by this, and the last item that names a field gives its value.

    `fold_seq` is the event's own ordinal, or the `after_ordinal` of a full state; `seq` is the ordinal
    under which the item itself was recorded.
    """

    fold_seq: int
    fold_rank: int
    seq: int


def effective_times(committed_at: Iterable[int], reached: int = 0) -> list[int]:
    """The time from which each event of one channel counts: the running maximum of its commit times.

    `committed_at` in ordinal order, epoch ms; `reached` is the maximum before the first of them.
    """
    return list(accumulate(committed_at, max, initial=reached))[1:]
