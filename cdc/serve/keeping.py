"""What can be asked of the journal beyond questions: sealing, verifying, erasing, a copy while it runs.

Each deed is described as a question is (address, parameters, role) and answers in the same form, so that the HTTP
API, its OpenAPI document and the verbs of the command line share it. It is given the journal, not a reader.
"""

from __future__ import annotations

from cdc.answer.answers import Answer
from cdc.journal.journal import DuckJournal
from cdc.journal.verify import verify
from cdc.serve.auth import Role
from cdc.serve.questions import Parameter, Question


def seal(journal: DuckJournal) -> Answer:
    """Move everything that is held into sealed segments."""
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


def verified(journal: DuckJournal, public_key: str | None = None, checkpoint: str | None = None) -> Answer:
    """Look at the chain, the bytes, the counts and the ordinals. Errors: DifferenceFound."""
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
    )
}

DEED_TIMEOUT_S = 4 * 3600.0
"""How long a verb waits for a deed: bytes are read at the speed of the disk."""
