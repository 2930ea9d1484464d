"""A long text is rebuilt from its diff exactly, or not at all."""

from __future__ import annotations

import difflib
import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cdc.change.diff import parse_diff, rebuild

WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"), max_size=8
)


def diff_of(old: list[str], new: list[str], value: str, context: int) -> str:
    hunks = list(difflib.unified_diff(old, new, lineterm="", n=context))[2:]
    return "\n".join(["--- ", "+++ " + hashlib.sha256(value.encode()).hexdigest(), *hunks])


@given(
    st.lists(WORDS, min_size=1, max_size=12),
    st.lists(WORDS, min_size=1, max_size=12),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.booleans(),
    st.integers(0, 3),
)
def test_a_diff_gives_the_new_value_in_the_line_breaks_of_the_old(
    old: list[str], new: list[str], newline: str, ends_in_one: bool, context: int
) -> None:
    assume(old[-1] and new[-1])  # values are trimmed: none ends in an empty line
    tail = newline if ends_in_one else ""
    value = newline.join(new) + tail
    assert rebuild(newline.join(old) + tail, diff_of(old, new, value, context)) == value


def test_untouched_lines_keep_their_own_line_breaks() -> None:
    value = "one\r\ntwo\nTHREE\nfour"
    assert (
        rebuild("one\r\ntwo\nthree\nfour", diff_of(["three"], ["THREE"], value, 0).replace("-1 +1", "-3 +3"))
        == value
    )


def test_a_value_saved_again_with_other_line_breaks_is_found() -> None:
    value = "one\r\nTWO\r\nthree"
    assert (
        rebuild("one\ntwo\nthree", diff_of(["one", "two", "three"], ["one", "TWO", "three"], value, 0))
        == value
    )


@pytest.mark.parametrize("old", ["one\nzwei\nthree", "one", ""])
def test_another_old_value_gives_nothing(old: str) -> None:
    diff = diff_of(["one", "two", "three"], ["one", "TWO", "three"], "one\nTWO\nthree", 0)
    assert rebuild(old, diff) is None


def test_a_wrong_hash_gives_nothing() -> None:
    diff = diff_of(["one", "two"], ["one", "TWO"], "something else", 0)
    assert rebuild("one\ntwo", diff) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "an ordinary value",
        "--- \n+++ no hash",
        "--- \n+++ " + "0" * 64 + "\nno hunk",
        "--- \n+++ " + "0" * 64 + "\n@@ -1,2 +1,2 @@\n-a",
        "--- \n+++ " + "0" * 64 + "\n@@ -1 +1 @@\n*a\n+b",
    ],
)
def test_what_is_no_diff_is_not_taken_for_one(text: str) -> None:
    assert parse_diff(text) is None
    assert rebuild("one", text) is None
