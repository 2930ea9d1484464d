"""The whole org as it was at a moment: a file an entity, and a manifest that says how complete each is.

CSV is in the form Data Loader takes: a header of the names queries use, `Id` first, texts quoted where they must be,
UTF-8. An empty cell is null, or what `null` says (`#N/A` is what bulk jobs read as null). What is not known is an
empty cell too, and is named, record and field, in `<Entity>.unknown.csv`: a file without that companion has no such
cell. Records that were deleted are left out, unless asked for.

Parquet has the same columns with their types, and a column `_unknown` that names the fields not known.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cdc.answer.entity_views import SQL_TYPES
from cdc.answer.fields import Field, Fields
from cdc.errors import BadArgument, DiskFull
from cdc.replay.stream import Ask

PAGE_ROWS = 5_000
MANIFEST = "manifest.json"
UNKNOWN_COLUMN = "_unknown"
REASONS_MAX = 20

_TYPES: Mapping[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("ms"),
}


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """`moment` is `at` or `before`, settled. `null` is what a null is written as in CSV."""

    folder: Path
    moment: Mapping[str, str]
    entities: tuple[str, ...]
    form: str = "csv"
    null: str = ""
    deleted: bool = False


@dataclass(slots=True)
class Exported:
    """What became of one entity."""

    entity: str
    file: str
    rows: int = 0
    complete_rows: int = 0
    unknown_cells: int = 0
    deleted: int = 0
    status_unknown: int = 0
    inferred: int = 0
    known_since: str | None = None
    sha256: str = ""
    reasons: dict[str, None] = field(default_factory=dict)
    stretches: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.reasons and self.complete_rows == self.rows and not self.status_unknown

    def facts(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in self.__slots__ if name not in ("reasons", "stretches")}
        return {
            **facts,
            "complete": self.complete,
            "reasons": list(self.reasons)[:REASONS_MAX],
            "stretches": self.stretches,
        }


def export(
    ask: Ask, org: str, order: ExportOrder, told: Callable[[Exported], None] = lambda _: None
) -> dict[str, Any]:
    """Write the files, then the manifest; gives the manifest. `told` hears after each page.

    Errors: those of the questions, BadArgument, DiskFull.
    """
    try:
        order.folder.mkdir(parents=True, exist_ok=True)
        if any(order.folder.iterdir()):
            raise BadArgument("the folder is not empty", where=str(order.folder), do="name a new one")
        done = [_entity(ask, entity, order, told) for entity in order.entities]
        manifest = {
            "org": org,
            "moment": dict(order.moment),
            "format": order.form,
            "null": order.null if order.form == "csv" else None,
            "deleted_records": "included" if order.deleted else "left out",
            "complete": all(one.complete for one in done),
            "records": sum(one.rows for one in done),
            "entities": [one.facts() for one in done],
        }
        aside = order.folder / f"{MANIFEST}.part"
        aside.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(aside, order.folder / MANIFEST)
        return manifest
    except OSError as error:
        if error.errno == 28:
            raise DiskFull(
                "the disk is full", where=str(order.folder), do="make room and export again"
            ) from error
        raise BadArgument(f"it cannot be written: {error.strerror}", where=str(order.folder)) from error


def _entity(ask: Ask, entity: str, order: ExportOrder, told: Callable[[Exported], None]) -> Exported:
    rows = ask("fields", entity=entity)["rows"]
    fields = Fields(entity, {path: Field(path, name, kind, tuple(to)) for path, name, kind, to in rows})
    done = Exported(entity, f"{entity}.{order.form}")
    path = order.folder / done.file
    writer: _Csv | _Parquet = (
        _Parquet(path, fields) if order.form == "parquet" else _Csv(path, fields, order.null)
    )
    with writer:
        for answer in _pages(ask, entity, order.moment):
            page = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
            writer.write([row for row in page if _is_written(row, order, done)], done)
            done.reasons |= dict.fromkeys(answer["reasons"])
            done.stretches = done.stretches or answer["stretches"]
            told(done)
    done.sha256 = _sha256(path)
    return done


def _pages(ask: Ask, entity: str, moment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        answer = ask("state", entity=entity, limit=PAGE_ROWS, cursor=cursor, **moment)
        yield answer
        if (cursor := answer.get("next")) is None:
            return


def _is_written(row: Mapping[str, Any], order: ExportOrder, done: Exported) -> bool:
    """Whether a record has a line; what it means for the whole is counted."""
    done.deleted += row["status"] == "deleted"
    done.status_unknown += row["status"] == "unknown"
    if row["status"] == "unknown" or (row["status"] == "deleted" and not order.deleted):
        return False
    done.rows += 1
    done.complete_rows += bool(row["complete"])
    done.inferred += row["inferred_since"] is not None
    since = row["known_since"]
    if since is not None and (done.known_since is None or since > done.known_since):
        done.known_since = since
    return True


class _Csv:
    """Data Loader's form, and beside it what is not known."""

    def __init__(self, path: Path, fields: Fields, null: str) -> None:
        self._columns = _columns(fields)
        self._null = null
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._unknown_path = path.with_name(f"{fields.entity}.unknown.csv")
        self._unknown_file: Any = None
        self._unknown: Any = None
        self._rows.writerow(["Id", *(f.name for f in self._columns)])

    def __enter__(self) -> _Csv:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._unknown_file is not None:
            self._unknown_file.close()

    def write(self, rows: Sequence[Mapping[str, Any]], done: Exported) -> None:
        for row in rows:
            known = row["fields"]
            line = [row["record_id"]]
            for column in self._columns:
                if column.path not in known:
                    line.append("")
                    self._note(row["record_id"], column.name, done)
                    continue
                value = known[column.path]
                line.append(self._null if value is None else value)
            self._rows.writerow(line)

    def _note(self, record_id: str, name: str, done: Exported) -> None:
        if self._unknown_file is None:
            self._unknown_file = self._unknown_path.open("w", encoding="utf-8", newline="")
            self._unknown = csv.writer(self._unknown_file, lineterminator="\n")
            self._unknown.writerow(["Id", "Field"])
        self._unknown.writerow([record_id, name])
        done.unknown_cells += 1


class _Parquet:
    """Typed columns; what does not read as its type is null and named in `_unknown`."""

    def __init__(self, path: Path, fields: Fields) -> None:
        self._columns = _columns(fields)
        kinds = [_TYPES.get(SQL_TYPES.get(f.type, "VARCHAR"), pa.string()) for f in self._columns]
        self._schema = pa.schema(
            [
                ("Id", pa.string()),
                *zip([f.name for f in self._columns], kinds, strict=True),
                (UNKNOWN_COLUMN, pa.list_(pa.string())),
            ]
        )
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: Sequence[Mapping[str, Any]], done: Exported) -> None:
        if not rows:
            return
        unknown: list[list[str]] = [[] for _ in rows]
        arrays = [pa.array([row["record_id"] for row in rows], pa.string())]
        for column, kind in zip(self._columns, self._schema.types[1:-1], strict=True):
            texts = [row["fields"].get(column.path) for row in rows]
            for at, row in enumerate(rows):
                if column.path not in row["fields"]:
                    unknown[at].append(column.name)
                    done.unknown_cells += 1
            arrays.append(_typed(pa.array(texts, pa.string()), kind))
        arrays.append(pa.array(unknown, pa.list_(pa.string())))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def _typed(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        return texts
    if pa.types.is_timestamp(kind):
        texts = pc.utf8_rtrim(texts, "Z")
    return pc.cast(texts, kind)


def _columns(fields: Fields) -> list[Field]:
    """Every field but the id, in the order the description has them; two of one name keep their paths."""
    columns: dict[str, Field] = {}
    for one in fields.by_path.values():
        if one.path == "Id":
            continue
        name = one.name if one.name not in columns else one.path
        columns[name] = Field(one.path, name, one.type)
    return list(columns.values())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
