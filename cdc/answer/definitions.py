"""The SQL this room defines in the journal: macros that answer about a moment.

The journal runs `definitions()` when it opens, after its own tables stand. Public are `state_at`,
`record_at`, `state_before` and `record_before` (contract, section 5); the schema `answer` holds their parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from cdc.change.order import READ_MARGIN_MS

NO_CUT = 2**63 - 1
"""Greater than any ordinal: a question that is not cut before a change."""

_IN_ORDER = (
    "fold_key",
    "stream_of",
    "stretches",
    "holes",
    "stopped",
    "items",
    "exact",
    "folded",
    "states",
    "state_at",
    "record_at",
    "history",
)

_OF_THESE = ("items", "exact")

RULE_ITSELF = "-- The rule itself, for what is left to it:"
"""Where folded.sql goes from what is read off to what is folded by the rule."""


def definitions(read_margin_ms: int = READ_MARGIN_MS) -> Sequence[str]:
    """Statements that create or replace every macro of this room, in order.

    `read_margin_ms` is how far past a read a change may lie that the row already holds; other values than
    the default are for the test that shows why it is what it is.
    """
    return (
        "CREATE SCHEMA IF NOT EXISTS answer",
        f"CREATE OR REPLACE MACRO answer.read_margin() AS INTERVAL {int(read_margin_ms)} MILLISECONDS",
        f"CREATE OR REPLACE MACRO answer.no_cut() AS {NO_CUT}::BIGINT",
        *(text for name in _IN_ORDER for text in _forms(name)),
    )


def _forms(name: str) -> Sequence[str]:
    """The rule is there twice: for a range of records, and as `…_of` for those of a list alone, which the plain
    way leaves to it (folded.sql). A filter that may be there or not would not be pushed into files. And the plain
    way is there alone, as `read_off`, with `left_over` that says what it leaves out and
    `plain_records` that says of which records it tells: the rule is dear even for none.
    """
    text = sql(name)
    if name == "folded":
        read_off, _ = text.split(RULE_ITSELF)
        records = read_off[: read_off.index("live AS (")].rstrip().rstrip(",")
        return (
            text,
            read_off.replace("answer.folded(", "answer.read_off("),
            records.replace("answer.folded(", "answer.left_over(") + "\nSELECT ids FROM left_over",
            records.replace("answer.folded(", "answer.plain_records(") + "\nFROM records WHERE is_plain",
        )
    if name == "states":
        return (
            text,
            text.replace("answer.states(", "answer.states_of_one(").replace(
                "answer.folded(", "answer.exact("
            ),
            text.replace("answer.states(", "answer.states_read_off(").replace(
                "answer.folded(", "answer.read_off("
            ),
        )
    if name not in _OF_THESE:
        return (text,)
    of_these = text.replace("/* of these */", "AND record_id IN (SELECT unnest(ids))")
    for rule in _OF_THESE:
        of_these = of_these.replace(
            f"answer.{rule}(e, lo, hi, t, c)", f"answer.{rule}_of(e, lo, hi, t, c, ids)"
        )
    return (text, of_these)


def sql(name: str) -> str:
    """The text of a SQL file of this room, by its name."""
    return files("cdc.answer").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
