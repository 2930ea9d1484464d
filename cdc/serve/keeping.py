"""What can be asked of the journal beyond questions: sealing, verifying, erasing, a copy while it runs.

Each deed is described as a question is (address, parameters, role) and answers in the same form, so that the HTTP
API, its OpenAPI document and the verbs of the command line share it. It is given the journal, not a reader.
"""

from __future__ import annotations

from cdc.answer.answers import Answer, instant
from cdc.answer.definitions import definitions
from cdc.answer.entities import entity_named, record_id_of
from cdc.errors import BadArgument
from cdc.journal.erase import erase, look
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import Lake
from cdc.journal.snapshot import snapshot
from cdc.journal.verify import verify
from cdc.serve.auth import Role
from cdc.serve.questions import Parameter, Question


def seal(journal: DuckJournal) -> Answer:
    """Move everything that is held into sealed segments."""
    _one_file(journal, "sealed", "its files are Parquet from the first moment")
    manifests = journal.seal()
    columns = ("manifest", "kind", "first_seq", "last_seq", "changes", "fields", "bytes")
    rows = [
        (
            m.name,
            m.kind,
            m.first_seq,
            m.last_seq,
            m.rows("changes"),
            m.rows("fields"),
            sum(f.bytes for f in m.files),
        )
        for m in manifests
    ]
    notes = [] if rows else ["nothing is hot: everything was sealed already"]
    return Answer(columns=columns, rows=rows, notes=notes)


def verified(
    journal: DuckJournal | Lake, public_key: str | None = None, checkpoint: str | None = None
) -> Answer:
    """Look at the chain, the bytes, the counts and the ordinals. Errors: DifferenceFound."""
    if isinstance(journal, Lake):
        with journal.reader() as reader:
            result = verify(reader, journal.segments, journal.org, held=int(journal.checkpoint.ordinal))
        return Answer(columns=("looked_at",), rows=[(fact,) for fact in result.facts])
    key = public_key or (journal.sealer.chain.key.public if journal.sealer.chain.key else None)
    with journal.sealer.lock, journal.reader() as reader:
        result = verify(
            reader,
            journal.segments,
            journal.org,
            public_key=key,
            checkpoint=checkpoint,
            held=int(journal.checkpoint.ordinal),
        )
    return Answer(columns=("looked_at",), rows=[(fact,) for fact in result.facts])


def erased(
    journal: DuckJournal, entity: str, ids: list[str], asked_by: str, reason: str, confirm: str | None = None
) -> Answer:
    """Say what would be erased, or with its token erase it. Errors: BadArgument, NotFound."""
    _one_file(journal, "erased from", "delete the rows with DuckDB, then expire its snapshots and clean up")
    full = [record_id_of(i) for i in ids]
    with journal.reader() as reader:
        name = entity_named(reader, entity)
        asked = look(reader, name, full)
    if confirm is None:
        return Answer(
            columns=("entity", "records", "changes", "values", "confirm"),
            rows=[(name, len(asked.record_ids), asked.changes, asked.values, asked.token)],
            notes=["nothing is erased yet; ask again with this token to erase, for good"],
        )
    if confirm != asked.token:
        raise BadArgument(
            "the token is not of these records as they are now",
            do="ask without a token, and take the one it says",
        )
    done = erase(journal, asked, asked_by, reason)
    return Answer(
        columns=("erasure", "entity", "records", "changes", "values", "segments", "elsewhere", "gone_from_log_at"),
        rows=[
            (
                done.erasure_id, name, len(done.record_ids), done.changes, done.values, done.segments, done.elsewhere,
                done.gone_from_log_at,
            )
        ],
        notes=[
            f"the log cannot erase one record: it will have aged out by {instant(done.gone_from_log_at)}"
            if done.gone_from_log_at
            else "the log was not asked",
            "snapshots and exports made before still hold it, and so does the org, if it was not deleted there",
        ],
    )  # fmt: skip


def snapped(journal: DuckJournal, folder: str) -> Answer:
    """A consistent copy in a folder of the machine the journal runs on. Errors: BadArgument."""
    _one_file(journal, "copied", "a dump of PostgreSQL and a copy of journal.segments are one")
    if not folder.isprintable() or set(folder) & set("?*[]'\""):
        raise BadArgument(
            "the folder's name has characters that a database cannot open",
            where=f"{folder!r:.60}",
            do="name another",
        )
    try:
        done = snapshot(journal, folder, definitions())
    except OSError as error:
        raise BadArgument(
            f"the folder cannot be written: {error.strerror}", where=folder[:200], do="name another"
        ) from error
    return Answer(
        columns=("folder", "ordinal", "hot_and_other_rows", "segments", "bytes"),
        rows=[(done.folder, done.ordinal, done.rows, done.segments, done.bytes)],
        notes=["any DuckDB 1.5 opens its journal.duckdb; it names the segments beside it by their full path"],
    )


def _one_file(journal: object, done: str, do: str) -> None:
    if isinstance(journal, Lake):
        raise BadArgument(f"a journal in DuckLake is not {done} by this verb", where=journal.path, do=do)


DEEDS: dict[str, Question] = {
    deed.name: deed
    for deed in (
        Question(
            "seal",
            "/api/v1/seal",
            "Move everything that is held into sealed segments",
            seal,
            method="POST",
            role=Role.OPERATOR,
        ),
        Question(
            "verify",
            "/api/v1/verify",
            "Look at the chain of seals, the bytes, the counts and the ordinals; no network",
            verified,
            (
                Parameter("public_key", "the Ed25519 key that is trusted, in hex", where="body"),
                Parameter("checkpoint", "the text of a saved checkpoint", where="body"),
            ),
            method="POST",
            role=Role.OPERATOR,
        ),
        Question(
            "snapshot",
            "/api/v1/snapshot",
            "A consistent copy in a folder of the machine the journal runs on",
            snapped,
            (Parameter("folder", "empty, or not there yet", where="body", required=True),),
            method="POST",
            role=Role.ADMIN,
        ),
        Question(
            "erase",
            "/api/v1/erase",
            "Erase every value of some records: what would go, or with its token, for good",
            erased,
            (
                Parameter("entity", "API name of the entity, like Contact", where="body", required=True),
                Parameter("ids", "record ids", kind="texts", where="body", required=True),
                Parameter("asked_by", "who asked for it", where="body", required=True),
                Parameter("reason", "why, like the number of the request", where="body", required=True),
                Parameter("confirm", "the token that was said; without it nothing is erased", where="body"),
            ),
            method="POST",
            role=Role.ADMIN,
        ),
    )
}

DEED_TIMEOUT_S = 4 * 3600.0
"""How long a verb waits for a deed: bytes are read at the speed of the disk."""
