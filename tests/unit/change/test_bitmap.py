"""Bitmaps name the fields of the schema they were written with, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.change.bitmap import WHOLE, BitmapError, Bitmaps, FieldTree, decode, encode

ADDRESS = (
    "Street",
    "City",
    "State",
    "PostalCode",
    "Country",
    "StateCode",
    "CountryCode",
    "Latitude",
    "Longitude",
)
PERSON = ("Salutation", "FirstName", "LastName")


def tree(width: int, nested: dict[int, tuple[str, ...]] | None = None, **names: int) -> FieldTree:
    called = {index: name for name, index in names.items()}
    return FieldTree(tuple(called.get(i, f"F{i}") for i in range(width)), nested or {})


@pytest.mark.parametrize(
    ("bitmap", "fields"),
    [
        ("0x800000", [23]),
        ("0x400800", [11, 22]),
        ("0x400080", [7, 22]),
        ("0x400004", [2, 22]),
        ("0x410000", [16, 22]),
        ("0x010000", [16]),
        ("0x08F81000", [12, 19, 20, 21, 22, 23, 27]),
        ("0x100000000000800000", [23, 68]),
        ("0x0400000000000000", [58]),
        ("0x08f81000", [12, 19, 20, 21, 22, 23, 27]),
    ],
)
def test_bit_i_of_the_number_is_field_i_of_the_record(bitmap: str, fields: list[int]) -> None:
    assert decode(tree(87), [bitmap]) == tuple((i, WHOLE) for i in fields)


def test_a_prefixed_entry_names_the_parts_of_a_compound_field() -> None:
    bitmaps = Bitmaps(tree(20, {4: ADDRESS, 7: PERSON}, BillingAddress=4, Name=7))
    assert bitmaps.paths(["0x20", "4-0x10", "7-0x06"]) == (
        "BillingAddress.Country",
        "F5",
        "Name.FirstName",
        "Name.LastName",
    )


def test_the_entry_of_the_top_level_may_be_missing() -> None:
    bitmaps = Bitmaps(tree(87, {6: ADDRESS}, ShippingAddress=6))
    assert bitmaps.paths(["6-0x0180"]) == ("ShippingAddress.Latitude", "ShippingAddress.Longitude")


def test_a_person_account_names_its_parts_and_a_business_account_the_field_itself() -> None:
    bitmaps = Bitmaps(tree(87, {1: PERSON}, Name=1))
    assert bitmaps.paths(["1-0x06"]) == ("Name.FirstName", "Name.LastName")
    assert bitmaps.paths(["0x02"]) == ("Name",)


def test_no_entries_name_nothing() -> None:
    assert Bitmaps(tree(5)).paths([]) == ()
    assert Bitmaps(tree(5)).paths(["0x00"]) == ()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("0x800000", "bit 23, but the record has 10 fields"),
        ("0x0C02", "bits 10, 11, but the record has 10 fields"),
        ("4-0x0200", "bit 9, but F4 has 9 fields"),
        ("5-0x01", "field 5, but F5 has none"),
        ("77-0x01", "field 77, but the record has 10 fields"),
        ("0x01", "bit 0, which is the header"),
        ("0x", "not a bitmap"),
        ("0x_1", "not a bitmap"),
        ("-1-0x01", "not a bitmap"),
        ("Name", "not a bitmap"),
        ("", "not a bitmap"),
    ],
)
def test_a_bitmap_that_does_not_fit_the_schema_is_refused_by_name(entry: str, said: str) -> None:
    with pytest.raises(BitmapError, match=said):
        decode(tree(10, {4: ADDRESS}), [entry])


@pytest.mark.parametrize(
    ("paths", "bitmap"),
    [
        (["F22"], ["0x400000"]),
        (["F58"], ["0x0400000000000000"]),
        (["A.Latitude", "A.Longitude"], ["6-0x0180"]),
        (["A.Street", "F23"], ["0x800000", "6-0x01"]),
    ],
)
def test_the_encoder_writes_what_salesforce_writes(paths: list[str], bitmap: list[str]) -> None:
    assert encode(tree(87, {6: ADDRESS}, A=6), paths) == bitmap


def test_a_path_the_schema_has_not_is_refused() -> None:
    with pytest.raises(BitmapError, match=r"no field A\.Planet"):
        encode(tree(10, {4: ADDRESS}, A=4), ["A.Planet"])


@st.composite
def trees_and_paths(draw: st.DrawFn) -> tuple[FieldTree, list[str]]:
    width = draw(st.integers(2, 120))
    nested = draw(
        st.dictionaries(
            st.integers(1, width - 1),
            st.integers(1, 12).map(lambda n: tuple(f"P{i}" for i in range(n))),
            max_size=4,
        )
    )
    shape = tree(width, nested)
    all_paths = list(shape.names[1:]) + [f"{shape.names[i]}.{p}" for i, ps in nested.items() for p in ps]
    return shape, draw(st.lists(st.sampled_from(all_paths), unique=True, max_size=30))


@given(trees_and_paths(), st.booleans())
def test_what_is_encoded_is_decoded(shape: tuple[FieldTree, list[str]], lower: bool) -> None:
    fields, paths = shape
    entries = encode(fields, paths)
    if lower:
        entries = [entry.lower() for entry in entries]
    assert sorted(Bitmaps(fields).paths(entries)) == sorted(paths)
