"""Values that an event carries of fields which change without one: formulas, `LastActivityDate`.

A value that came with a record's creation would stand for ever, whatever the formula says since. So nothing is known of
such a field; that a change named it is kept, and the bytes in the log keep its value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.journal.rows import Rows
from cdc.journal.schemas import Schemas


def without_unstreamed(rows: Rows, schemas: Schemas) -> Rows:
    """The rows without such values, by the description in force at each change's place."""
    paths = schemas.unstreamed_paths()
    if not paths or not rows.fields.num_rows:
        return rows
    named = pc.is_in(rows.fields["field"], value_set=pa.array(paths, pa.string())).to_numpy()
    places = np.flatnonzero(named)
    if not len(places):
        return rows
    change = rows.fields["row"].to_numpy()[places]
    entities = rows.changes["entity"].take(pa.array(change)).to_pylist()
    fields = rows.fields["field"].take(pa.array(places)).to_pylist()
    ordinals = rows.ordinal[change].tolist()
    stale = [
        place
        for place, entity, path, ordinal in zip(places.tolist(), entities, fields, ordinals, strict=True)
        if schemas.is_unstreamed(entity, path, ordinal)
    ]
    if not stale:
        return rows
    kept = np.ones(rows.fields.num_rows, np.bool_)
    kept[stale] = False
    return replace(rows, fields=rows.fields.filter(pa.array(kept)))
