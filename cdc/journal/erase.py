"""Erasing a person: every value of some records, wherever the journal keeps it.

    1  each sealed segment that holds them is written anew without them, with a redaction in its manifest
    2  one transaction takes them out of the hot tables and of every other table, and writes the tombstone
    3  the old files are removed, and the DuckDB file is made anew by copy

A kill between two of them leaves less than everything erased; asked again, the rest is. The tombstone says who
asked, when, why and how many values went, never the values; ids stand in it only as salted hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import BadArgument, NotFound
from cdc.journal.manifests import Manifest, SealedFile, segment_folder, with_changed
from cdc.journal.scrub import scrub
from cdc.journal.segment_views import TABLES, live_segments
from cdc.journal.segments import iso, quoted, remove_unnamed, write_files
from cdc.journal.statements import statement

if TYPE_CHECKING:
    from cdc.journal.journal import DuckJournal

RECORDS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is, or was, erased. `token` has to be given to do it: it is of these records as they are now."""

    entity: str
    record_ids: tuple[str, ...]
    changes: int
    values: int
    token: str
    erasure_id: str = ""
    segments: int = 0
    elsewhere: int = 0
    erased_at: datetime | None = None
    gone_from_log_at: datetime | None = None


def look(reader: Any, entity: str, record_ids: Sequence[str]) -> Erasure:
    """What would be erased. Errors: BadArgument, NotFound when nothing is held of the records."""
    ids = tuple(sorted(set(record_ids)))
    if not 1 <= len(ids) <= RECORDS_MAX:
        raise BadArgument(f"1 to {RECORDS_MAX} records are erased at once, not {len(ids)}")
    given = {"entity": entity, "ids": list(ids)}
    changes, values, newest = reader.execute(statement("erase_counts"), given).fetchone()
    if not changes:
        raise NotFound("nothing is held of these records", where=entity, do="check the entity and the ids")
    text = json.dumps([entity, ids, changes, values, newest])
    return Erasure(entity, ids, changes, values, hashlib.sha256(text.encode()).hexdigest()[:12])


def erase(journal: DuckJournal, asked: Erasure, asked_by: str, reason: str) -> Erasure:
    """Do it. `asked` is what `look` gave. Errors: CdcError; what is erased by then stays erased."""
    with journal.sealer.lock:
        now = datetime.utcfromtimestamp(journal.sealer.chain.wall_ms() / 1000)
        given = {"entity": asked.entity, "ids": list(asked.record_ids)}
        with journal.reader() as reader:
            received = reader.execute(statement("erase_received"), given).fetchone()[0]
            own = [v for (v,) in reader.execute(statement("erase_values"), given).fetchall()]
            ordinals = reader.execute(statement("erase_ordinals"), given).fetchall()
        erasure_id = hashlib.sha256(f"{asked.token} {now.isoformat()}".encode()).hexdigest()[:16]
        segments = _segments(journal, asked, erasure_id, ordinals)
        gone_at = (received or now) + timedelta(milliseconds=journal.log_retention_ms)
        done = Erasure(
            asked.entity, asked.record_ids, asked.changes, asked.values, asked.token, erasure_id, segments, 0, now,
            gone_at,
        )  # fmt: skip
        elsewhere = journal.errand(
            lambda connection: _tables(connection, journal.org, done, own, ordinals, asked_by, reason)
        ).result()
        with journal.reader() as reader:
            remove_unnamed(reader, journal.segments)
            plans = [path for (path,) in reader.execute(statement("erase_plans")).fetchall()]
        elsewhere += journal.forget(asked.record_ids, own, plans)
        journal.compact()
        return Erasure(
            **{name: getattr(done, name) for name in Erasure.__slots__ if name != "elsewhere"},
            elsewhere=elsewhere,
        )


def _segments(journal: DuckJournal, asked: Erasure, erasure_id: str, ordinals: list[tuple[int, int]]) -> int:
    """Each segment that holds the records, written anew without them; how many there were."""
    done = 0
    with journal.reader() as reader:
        numbers = live_segments(reader)
    for number in numbers:
        with journal.reader() as cursor:
            written = _rewritten(cursor, journal, number, asked, erasure_id, ordinals)
        if written is not None:
            journal.sealer.take_over(*written)
            done += 1
    return done


def _rewritten(
    cursor: Any,
    journal: DuckJournal,
    number: int,
    asked: Erasure,
    erasure_id: str,
    ordinals: list[tuple[int, int]],
) -> tuple[Manifest, str] | None:
    chain = journal.sealer.chain
    paths = {
        t: quoted(str(Path(chain.folder, segment_folder(number), f"{t}.parquet").absolute())) for t in TABLES
    }
    theirs = f"entity = {quoted(asked.entity)} AND list_contains({_list(asked.record_ids)}, record_id)"
    held = cursor.execute(f"SELECT count(*) FROM read_parquet({paths['changes']}) WHERE {theirs}").fetchone()[
        0
    ]
    if not held:
        return None
    old = {name: (rows, sha256) for name, rows, sha256 in _files_of(journal, number)}
    first, last, earliest, latest = cursor.execute(
        f"SELECT min(seq), max(seq), min(committed_at), max(committed_at) FROM read_parquet({paths['changes']})"
        f" WHERE NOT ({theirs})"
    ).fetchone()
    manifest = chain.next(
        cursor,
        kind="erasure",
        replaces=(number,),
        first_seq=first or 0,
        last_seq=last or 0,
        first_committed_at=iso(earliest),
        last_committed_at=iso(latest),
    )
    files: tuple[SealedFile, ...] = ()
    if first is not None:
        queries = {
            t: f"SELECT * REPLACE ({manifest.number}::BIGINT AS segment) FROM read_parquet({paths[t]}) WHERE NOT ({theirs})"
            for t in TABLES
        }
        files = write_files(cursor, chain.folder, manifest.number, [queries], spans=False)
    kept = {f.table: f for f in files}
    redaction = {
        "erasure_id": erasure_id,
        "ordinals": [list(pair) for pair in ordinals],
        "hashes": {old[t][1]: kept[t].sha256 if t in kept else None for t in TABLES},
        **{f"{t}_removed": old[t][0] - (kept[t].rows if t in kept else 0) for t in TABLES},
    }
    return chain.written(with_changed(manifest, files=files, redaction=redaction))


def _files_of(journal: DuckJournal, number: int) -> list[tuple[str, int, str]]:
    from cdc.journal.manifests import manifest_path, read_manifest

    manifest, _ = read_manifest(manifest_path(journal.segments, number))
    return [(f.table, f.rows, f.sha256) for f in manifest.files]


def _tables(
    connection: Any, org: str, done: Erasure, values: Sequence[str], ordinals: Sequence[tuple[int, int]],
    asked_by: str, reason: str,
) -> int:  # fmt: skip
    given = {"entity": done.entity, "ids": list(done.record_ids)}
    for table in TABLES:
        connection.execute(
            f"DELETE FROM store.hot_{table} WHERE entity = $entity AND list_contains($ids, record_id)", given
        )
    before = {seq for (seq,) in connection.execute("SELECT seq FROM store.quarantine").fetchall()}
    elsewhere = scrub(connection, done.record_ids, values)
    after = {seq for (seq,) in connection.execute("SELECT seq FROM store.quarantine").fetchall()}
    told = [*ordinals, *((seq, seq) for seq in sorted(before - after))]
    for first, last in told:
        connection.execute(
            "INSERT INTO store.erased_ordinals VALUES (?, ?, ?)", [done.erasure_id, first, last]
        )
    hashes = [hashlib.sha256(f"{done.erasure_id}{i}".encode()).hexdigest() for i in done.record_ids]
    connection.execute(
        "INSERT INTO store.erasures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            done.erasure_id, org, done.entity, hashes, asked_by, reason, done.erased_at, done.changes, done.values,
            elsewhere, done.gone_from_log_at,
        ],
    )  # fmt: skip
    return elsewhere


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(text) for text in texts) + "]"
