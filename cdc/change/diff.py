"""A long text that came as a unified diff: the new value, rebuilt from the old one and checked.

Long text areas of 1,000 characters and more may come as a diff: `--- `, then `+++ ` with the SHA-256 of the
whole new value in UTF-8, then hunks, joined by line feeds whatever the value's own line breaks are (Change
Data Capture Developer Guide, "Change Event Fields": which value is hashed is right in its rule and wrong in
its sample's prose; the sample's bytes were recomputed). The hash decides: what does not give it is no value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

_HASH_LINE = re.compile(r"\+\+\+ ([0-9A-Fa-f]{64})\s*")
_HUNK_LINE = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@.*")
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|$)")
_NEWLINES = ("\r\n", "\n", "\r")


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `removed` from the old text at `at` (from 0), and the lines `added` there. Context is in both."""

    at: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextDiff:
    """`sha256` is of the new value in UTF-8, lower-case hex."""

    sha256: str
    hunks: tuple[Hunk, ...]


def parse_diff(text: str) -> TextDiff | None:
    """The diff in the text, or None where it is none."""
    lines = text.split("\n")
    if len(lines) < 2 or not lines[0].startswith("---"):
        return None
    head = _HASH_LINE.fullmatch(lines[1])
    if head is None:
        return None
    hunks: list[Hunk] = []
    at = 2
    while at < len(lines):
        if not lines[at].strip() and at == len(lines) - 1:
            break
        hunk = _hunk(lines, at)
        if hunk is None:
            return None
        at = hunk[1]
        hunks.append(hunk[0])
    return TextDiff(head[1].lower(), tuple(hunks))


def rebuild(old: str, diff_text: str) -> str | None:
    """The new value, or None where the old value is not the one the diff was made from.

    The diff does not say which line breaks the new lines have, nor whether the last one ends in one: what
    the old value uses is tried first, then the others, until the hash is right.
    """
    diff = parse_diff(diff_text)
    if diff is None:
        return None
    lines = _patched(_lines(old), diff.hunks)
    if lines is None:
        return None
    for candidate in _candidates(lines, old):
        if hashlib.sha256(candidate.encode()).hexdigest() == diff.sha256:
            return candidate
    return None


def _hunk(lines: list[str], at: int) -> tuple[Hunk, int] | None:
    head = _HUNK_LINE.fullmatch(lines[at].rstrip("\r"))
    if head is None:
        return None
    start, old_left, new_left = int(head[1]), int(head[2] or 1), int(head[4] or 1)
    first = start if head[2] == "0" else start - 1
    removed: list[str] = []
    added: list[str] = []
    at += 1
    while old_left > 0 or new_left > 0:
        if at >= len(lines):
            return None
        mark, line = lines[at][:1], lines[at][1:]
        if mark in ("-", " ", ""):
            removed.append(line)
            old_left -= 1
        if mark in ("+", " ", ""):
            added.append(line)
            new_left -= 1
        if mark not in ("-", "+", " ", "", "\\"):
            return None
        at += 1
    while at < len(lines) and lines[at].startswith("\\"):  # "\ No newline at end of file"
        at += 1
    if old_left or new_left or first < 0:
        return None
    return Hunk(first, tuple(removed), tuple(added)), at


def _lines(text: str) -> list[tuple[str, str | None]]:
    """Each line with its own line break; the last has "" where the text does not end in one."""
    found: list[tuple[str, str | None]] = [(m[1], m[2]) for m in _LINE.finditer(text)]
    if found and found[-1] == ("", ""):
        found.pop()
    return found


def _patched(
    old: list[tuple[str, str | None]], hunks: tuple[Hunk, ...]
) -> list[tuple[str, str | None]] | None:
    """The new lines; a line that is new has None for its line break. None where the old lines do not fit."""
    new: list[tuple[str, str | None]] = []
    done = 0
    for hunk in hunks:
        end = hunk.at + len(hunk.removed)
        if hunk.at < done or end > len(old):
            return None
        replaced = old[hunk.at : end]
        if any(line != said.rstrip("\r") for (line, _), said in zip(replaced, hunk.removed, strict=True)):
            return None
        new += old[done : hunk.at]
        new += [(line.rstrip("\r"), None) for line in hunk.added]
        done = end
    return new + old[done:]


def _candidates(lines: list[tuple[str, str | None]], old: str) -> Iterator[str]:
    counts = {newline: _count(old, newline) for newline in _NEWLINES}
    styles = sorted(_NEWLINES, key=lambda newline: -counts[newline])
    for everywhere in (False, True):
        for style in styles:
            ends = [style if everywhere or end is None or end == "" else end for _, end in lines]
            text = "".join(line + end for (line, _), end in zip(lines, ends, strict=True))
            last = len(ends[-1]) if ends else 0
            yield text[: len(text) - last]  # values are trimmed, so most end without a line break
            yield text


def _count(text: str, newline: str) -> int:
    pairs = text.count("\r\n")
    return pairs if newline == "\r\n" else text.count(newline) - pairs
