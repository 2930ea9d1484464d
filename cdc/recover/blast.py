"""The blast radius of an incident: what was changed, whose it is, what it cost, what hangs on it.

Everything here comes from the journal; nothing is asked of the org. `cdc/recover/picture.py` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdc.answer.answers import Answer, dicts_of, json_value
from cdc.recover.befores import before_the_incident
from cdc.recover.incidents import Incident, find
from cdc.recover.scope import meant, scope_words
from cdc.recover.statements import sql

SECTIONS = ("fields", "money", "groups", "reached", "later", "beside", "linked", "times")
"""Each a question of its own, `sql/blast_<section>.sql`."""


@dataclass(frozen=True, slots=True)
class Blast:
    """`totals` is the incident in one row; `sections` are lists of rows by the names of `SECTIONS`."""

    incident: Incident
    totals: Mapping[str, Any]
    sections: Mapping[str, list[dict[str, Any]]]

    def as_json(self) -> dict[str, Any]:
        """Plain values: what `cdc incident blast --format json` and the API give."""
        return {
            "incident_id": self.incident.incident_id,
            "title": self.incident.title,
            "state": self.incident.state,
            "meant": list(scope_words(self.incident.scope)),
            "totals": json_value(self.totals),
            **{name: json_value(rows) for name, rows in self.sections.items()},
        }


@dataclass(frozen=True, slots=True)
class BlastAnswer(Answer):
    """The fields as rows, and all sections beside them under `blast`."""

    blast: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {**super(BlastAnswer, self).as_json(), "blast": self.blast}


def blast_of(reader: Any, incident: Incident) -> Blast:
    """The blast radius of the changes an incident means just now."""
    with before_the_incident(reader, incident.scope):
        totals = dicts_of(reader.execute(sql("blast_totals")))[0]
        given = {
            "groups": {"last_seq": totals["last_seq"] or 0},
            "linked": {"alert_id": incident.alert_id},
        }
        sections = {
            name: dicts_of(reader.execute(sql(f"blast_{name}"), given.get(name))) for name in SECTIONS
        }
    return Blast(incident, totals, sections)


def totals_of(reader: Any, incident: Incident) -> Mapping[str, Any]:
    """The incident in one row, and nothing folded for it: what a report of many needs."""
    with meant(reader, incident.scope):
        return dicts_of(reader.execute(sql("blast_totals")))[0]


def blast(reader: Any, incident_id: str) -> Answer:
    """The question: rows of what was done by entity, kind and field; `blast` has all of it."""
    found = blast_of(reader, find(reader, incident_id))
    rows = found.sections["fields"]
    columns = ("entity", "kind", "field", "records", "changes", "top_values")
    return BlastAnswer(
        columns=columns,
        rows=[tuple(row[c] for c in columns) for row in rows],
        notes=list(scope_words(found.incident.scope)),
        blast=found.as_json(),
    )
