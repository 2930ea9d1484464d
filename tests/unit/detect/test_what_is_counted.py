"""The parts that count: hashes, distinct ids, windows, tallies and histograms."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.detect.distinct import Distinct
from cdc.detect.hashing import hash_texts
from cdc.detect.histogram import BINS_PER_SIZE, SizeHistogram, bin_of, places_of_sizes, start_of
from cdc.detect.norms import EDITS, Norms
from cdc.detect.pace import Pace
from cdc.detect.state import pack, unpack
from cdc.detect.tallies import FIELD_ROWS, KNOWN, NULL, Tallies, fold
from cdc.errors import BadArgument

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=70)), max_size=30)


@given(TEXTS, st.integers(0, 5))
def test_a_text_has_one_hash_wherever_it_stands(texts: list[str | None], skipped: int) -> None:
    hashes, words = hash_texts(pa.array(texts, pa.string()).slice(min(skipped, len(texts))), 48)
    for text, found, word in zip(texts[skipped:], hashes.tolist(), words, strict=True):
        alone, _ = hash_texts(pa.array(["other", text or ""], pa.string()).slice(1), 48)
        assert found == int(alone[0])
        assert word.tobytes() == (text or "").encode()[:48].ljust(48, b"\0")


@given(st.sets(st.text(max_size=60), min_size=2))
def test_different_texts_have_different_hashes(texts: set[str]) -> None:
    hashes, _ = hash_texts(pa.array(sorted(texts), pa.string()), 48)
    assert len(set(hashes.tolist())) == len(texts)


@given(st.lists(st.integers(0, (1 << 64) - 1)), st.randoms(use_true_random=False))
def test_what_is_kept_of_many_ids_depends_on_the_set_alone(ids: list[int], r: object) -> None:
    first, second, third = Distinct(8), Distinct(8), Distinct(8)
    first.add(ids)
    second.add(sorted(ids))
    half = Distinct(8)
    third.add(ids[::2])
    half.add(ids[1::2])
    third.merge(half)
    assert set(first.counts) == set(second.counts) == set(third.counts)
    assert len(first) == len(second) == len(third)


def test_few_ids_are_counted_exactly_and_many_nearly() -> None:
    hashes = hash_texts(pa.array([str(n) for n in range(50_000)]), 48)[0].tolist()
    ids = Distinct(4096)
    ids.add(hashes[:4000])
    assert len(ids) == 4000
    ids.add(hashes)
    assert len(ids) == pytest.approx(50_000, rel=0.06)


def test_the_largest_windows_are_kept_at_each_length() -> None:
    pace = Pace()
    for at in (0, 1, 2, 9_999, 10_000, 59_999, 60_000, 600_000):
        if at // 10_000 != pace.base:
            pace.step(at // 10_000)
        pace.count(1)
    assert pace.peaks() == (4, 6, 7)


@given(st.integers(1, 1 << 40))
def test_a_size_lies_in_its_bin(size: int) -> None:
    place = bin_of(size)
    assert start_of(place) <= size * 1.000001
    assert place == BINS_PER_SIZE - 1 or size < start_of(place + 1)


def test_a_histogram_forgets_by_half_in_four_weeks() -> None:
    sizes = SizeHistogram(0)
    for _ in range(100):
        sizes.learn(places_of_sizes((1, 1, 1, 64, 0, 64)), 0, 5)
    sizes.learn((), 4, 5)
    above, total = sizes.tail(3, 60)
    assert above == pytest.approx(50, rel=0.02)
    assert total == pytest.approx(51, rel=0.02)
    assert sizes.quantile(3, 0.9) == 90
    assert SizeHistogram.restored(sizes.state()).state() == sizes.state()


def field_rows(values: list[int | None], field: int = 0) -> np.ndarray:
    rows = np.zeros(len(values), FIELD_ROWS)
    rows["value"] = [value or 0 for value in values]
    rows["flag"] = [NULL if value is None else KNOWN for value in values]
    rows["field"] = field
    return rows


@given(st.lists(st.integers(1, 5), max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_norms_are_equal_however_the_rows_come_and_whenever_they_are_asked(
    values: list[int], cuts: list[int]
) -> None:
    together, apart = Norms(), Norms()
    together.add("Case", EDITS, field_rows([*values]))
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    for start, stop in itertools.pairwise(edges):
        apart.add("Case", EDITS, field_rows([*values[start:stop]]))
        apart.get("Case", EDITS, 0)
    assert together.state() == apart.state()


def test_a_field_of_alternating_values_is_varied_and_one_of_runs_is_not() -> None:
    norms = Norms()
    norms.add("Case", EDITS, field_rows([n % 8 + 1 for n in range(320)], 0))
    norms.add("Case", EDITS, field_rows([n // 32 + 1 for n in range(320)], 1))
    varied, runs = norms.get("Case", EDITS, 0), norms.get("Case", EDITS, 1)
    assert varied is not None
    assert runs is not None
    assert varied.variety() > 6
    assert runs.variety() == 1.0


def test_a_tally_counts_writes_nulls_and_the_values_that_repeat() -> None:
    tallies: Tallies = {}
    fold(tallies, field_rows([7] * 60 + [None] * 30 + list(range(100, 110))))
    tally = tallies[0]
    assert (tally.writes, tally.nulls, tally.others) == (100, 30, 10)
    assert [(top.value, top.writes) for top in tally.top()] == [(7, 60), (0, 30)]
    assert tally.variety() == pytest.approx(100**2 / (60**2 + 30**2 + 10))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_state_are_refused(content: bytes) -> None:
    with pytest.raises(BadArgument):
        unpack(content)
    with pytest.raises(BadArgument):
        unpack(pack({"a": list(range(50))})[:-3] + content[:2])


def test_a_state_comes_back_as_it_was() -> None:
    assert unpack(pack({"a": [1, "é", None], "b": 1 << 63})) == {"a": [1, "é", None], "b": 1 << 63}
