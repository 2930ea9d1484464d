"""Long texts as Salesforce sends their changes: a unified diff where that is shorter (protocol 2.4)."""

from __future__ import annotations

import hashlib
from difflib import SequenceMatcher

DIFF_CHARS_MIN = 1_000
"""Shorter values are sent whole."""
LENGTH_DIFFERENCE_MAX = 0.5
LINES_CHANGED_MAX = 0.25

DIFFED_TYPES = frozenset({"StringPlusClob", "HtmlStringPlusClob"})


def text_diff(old: str | None, new: str | None) -> str | None:
    """The diff that is sent for a changed text, or None where the whole value is.

    Its second line is the SHA-256 of the new value; lines are joined by line feeds whatever the value's own.
    """
    if not old or not new or len(new) < DIFF_CHARS_MIN:
        return None
    if abs(len(new) - len(old)) > LENGTH_DIFFERENCE_MAX * len(old):
        return None
    before, after = old.splitlines(), new.splitlines()
    lines = ["--- ", f"+++ {hashlib.sha256(new.encode()).hexdigest()}"]
    changed = 0
    for kind, old_from, old_to, new_from, new_to in SequenceMatcher(None, before, after, False).get_opcodes():
        if kind == "equal":
            continue
        removed, added = before[old_from:old_to], after[new_from:new_to]
        changed += max(len(removed), len(added))
        lines.append(f"@@ -{_range(old_from, len(removed))} +{_range(new_from, len(added))} @@")
        lines.extend(f"-{line}" for line in removed)
        lines.extend(f"+{line}" for line in added)
    diff = "\n".join(lines)
    if changed > LINES_CHANGED_MAX * len(after) or len(diff) > len(new):
        return None
    return diff


def _range(start: int, count: int) -> str:
    """Lines count from 1; an empty range stands behind the line before it."""
    return f"{start + 1 if count else start},{count}"
