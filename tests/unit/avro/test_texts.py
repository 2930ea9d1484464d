"""A column's texts are those its values have one by one."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.avro.schema import Form
from cdc.avro.texts import to_texts
from cdc.change.values import boolean_text, date_text, datetime_text, double_text, time_text
from tests.unit.avro.salesforce_shapes import INT64, MOMENTS, TEXTS

LONGS = MOMENTS | INT64 | st.integers(0, 86_399_999)
CASES: list[tuple[Form, pa.DataType, st.SearchStrategy[Any], Any]] = [
    (Form.TEXT, pa.string(), TEXTS, str),
    (Form.BOOLEAN, pa.bool_(), st.booleans(), boolean_text),
    (Form.INTEGER, pa.int64(), INT64, str),
    (Form.INTEGER, pa.int32(), st.integers(-(2**31), 2**31 - 1), str),
    (Form.DOUBLE, pa.float64(), st.floats(), double_text),
    (Form.DOUBLE, pa.float32(), st.floats(width=32), double_text),
    (Form.DATETIME, pa.int64(), LONGS, datetime_text),
    (Form.DATE, pa.int64(), LONGS, date_text),
    (Form.TIME, pa.int64(), LONGS, time_text),
    (Form.NAMES, pa.list_(pa.string()), st.lists(TEXTS, max_size=4), ";".join),
    (
        Form.JSON,
        pa.list_(pa.int32()),
        st.lists(st.integers(0, 9), max_size=3),
        lambda v: json.dumps(v).replace(" ", ""),
    ),
]


@pytest.mark.parametrize(
    ("form", "type_", "values", "rule"), CASES, ids=[f"{c[0].value}-{c[1]}" for c in CASES]
)
@given(data=st.data())
def test_a_column_has_the_texts_of_its_values(
    form: Form, type_: pa.DataType, values: st.SearchStrategy[Any], rule: Any, data: st.DataObject
) -> None:
    column = data.draw(st.lists(st.none() | values, max_size=12))
    texts = to_texts(pa.array(column, type_), form)
    texts.validate(full=True)
    assert texts.type == pa.string()
    assert texts.to_pylist() == [None if value is None else rule(value) for value in column]


def test_a_slice_of_a_column_has_its_own_texts() -> None:
    column = pa.array([None, 0, 1_771_300_995_000, None, 2**60], pa.int64())
    for form in (Form.DATETIME, Form.DATE, Form.TIME):
        assert to_texts(column[2:], form).to_pylist() == to_texts(column, form).to_pylist()[2:]
