"""Fields by what the org says of their contents: its compliance groups (PII, GDPR …) and its sensitivity (Confidential …).

The org keeps both in FieldDefinition (Tooling API guide, "FieldDefinition"); a compound has one row for all its parts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cdc.errors import BadArgument, NotFound
from cdc.ports.org import Org

COLUMNS = "QualifiedApiName, ComplianceGroup, SecurityClassification"


def split(masked: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """What is to be masked, parted: fields (`Entity.Field`), and classes (any name without a dot)."""
    classes = frozenset(one for one in masked if "." not in one)
    return frozenset(masked) - classes, classes


async def classed(org: Org, entities: Sequence[str], classes: Collection[str]) -> frozenset[str]:
    """`Entity.Field` of every field in one of these classes; upper and lower case are one.

    Errors: BadArgument where the org does not tell, since a value might leave unmasked then; those of `Org`.
    """
    wanted = {one.lower() for one in classes}
    found: set[str] = set()
    for entity in entities:
        soql = f"SELECT {COLUMNS} FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = '{entity}'"
        try:
            rows = [row async for page in org.query(soql) for row in page.rows]
        except (NotFound, BadArgument) as error:
            raise BadArgument(
                f"the org does not say which fields of {entity} are {', '.join(sorted(classes))}: {error.what}",
                where="FieldDefinition",
                do="give the user View Setup and Configuration, or name the fields in privacy.masked",
            ) from error
        for row in rows:
            held = {
                *str(row.get("ComplianceGroup") or "").split(";"),
                str(row.get("SecurityClassification") or ""),
            }
            if wanted & {one.strip().lower() for one in held}:
                found.add(f"{entity}.{row['QualifiedApiName']}")
    return frozenset(found)
