"""A field as Salesforce knows it three times over: in events, in queries, in a description.

A definition is one line: `Name DocType words…`. Words: `A|B|C` picklist values, `->Entity:Relationship` a
reference, `required`, `fixed` (set once, at creation), `derived` (set by the org, published), `formula`
(computed, published only with full values), `silent` (never published), `eventonly` (never queried), `external`
(an external id: records can be found and upserted by it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

ADDRESS_PARTS = (
    ("Street", "string"),
    ("City", "string"),
    ("State", "string"),
    ("PostalCode", "string"),
    ("Country", "string"),
    ("StateCode", "string"),
    ("CountryCode", "string"),
    ("Latitude", "double"),
    ("Longitude", "double"),
    ("GeocodeAccuracy", "string"),
)
PERSON_NAME_PARTS = (("Salutation", "string"), ("FirstName", "string"), ("LastName", "string"))
LOCATION_PARTS = (("Latitude", "double"), ("Longitude", "double"))

COMPOUND_PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    "Address": ADDRESS_PARTS,
    "PersonName": PERSON_NAME_PARTS,
    "Switchable_PersonName": PERSON_NAME_PARTS,
    "Location": LOCATION_PARTS,
}
"""Doc type -> the parts of its record, as in the captured schemas."""

_AVRO = {
    "Boolean": "boolean",
    "Integer": "int",
    "Double": "double",
    "Currency": "double",
    "Percent": "double",
    "DateTime": "long",
    "DateOnly": "long",
    "TimeOnly": "long",
    "Birthday": "long",
    "NameSet": "names",
}

_DESCRIBED = {
    "StringPlusClob": "textarea",
    "HtmlStringPlusClob": "textarea",
    "EncryptedText": "encryptedstring",
    "Email": "email",
    "Url": "url",
    "Phone": "phone",
    "Fax": "phone",
    "DynamicEnum": "picklist",
    "StaticEnum": "picklist",
    "MultiEnum": "multipicklist",
    "EntityId": "reference",
    "Boolean": "boolean",
    "Integer": "int",
    "Double": "double",
    "Currency": "currency",
    "Percent": "percent",
    "DateTime": "datetime",
    "DateOnly": "date",
    "TimeOnly": "time",
    "Birthday": "date",
    "Address": "address",
    "Location": "location",
}

LENGTHS = {
    "StringPlusClob": 131_072,
    "HtmlStringPlusClob": 131_072,
    "MultiEnum": 4_099,
    "Phone": 40,
    "Fax": 40,
    "Email": 80,
}
"""Doc type -> characters at most; 255 elsewhere."""

PART_LENGTHS = {"City": 40, "State": 80, "Country": 80, "PostalCode": 20, "StateCode": 10, "CountryCode": 10}

_ROLES = {"EntityId": "ForeignKey", "ExternalId": "ExternalForeignKey"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: `path` in events (BillingAddress.City), `rest_name` in queries (BillingCity)."""

    path: str
    rest_name: str
    avro: str  # string boolean int long double names
    described: str  # the describe type
    field: Field
    part: str = ""

    @property
    def length(self) -> int:
        """Characters at most; for what is no text, more than any value has."""
        if self.avro != "string":
            return 0
        if self.described in ("reference", "id"):
            return 18
        return LENGTHS.get(self.field.doc_type, 255) if not self.part else PART_LENGTHS.get(self.part, 255)


@dataclass(frozen=True, slots=True)
class Field:
    """One top-level field. `doc_type` is what its doc in the event schema says after the colon."""

    name: str
    doc_type: str
    picklist: tuple[str, ...] = ()
    reference_to: tuple[str, ...] = ()
    relationship: str = ""
    required: bool = False
    in_events: bool = True
    in_queries: bool = True
    createable: bool = True
    updateable: bool = True
    calculated: bool = False
    external_id: bool = False
    compliance: tuple[str, ...] = ()
    sensitivity: str = ""
    field_id: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        return COMPOUND_PARTS.get(self.doc_type, ())

    @property
    def avro(self) -> str:
        """The Avro primitive of a field without parts."""
        return _AVRO.get(self.doc_type, "string")

    @property
    def described(self) -> str:
        """The describe type of the field itself."""
        return _DESCRIBED.get(self.doc_type, "string")

    @property
    def doc(self) -> str:
        """The doc string of the event schema: role, type, and for custom fields the 15-character field id."""
        role = "CreatedDate" if self.name == "CreatedDate" else _ROLES.get(self.doc_type, "Data")
        doc_type = "MultiEnum" if self.doc_type == "NameSet" else self.doc_type
        return f"{role}:{doc_type}" + (f":{self.field_id}" if self.field_id else "")

    @property
    def publishes(self) -> bool:
        """Whether every change of it is published: true neither of formulas nor of silent values."""
        return self.in_events and not self.calculated

    def leaves(self) -> tuple[Leaf, ...]:
        """The values it consists of, in the schema's order."""
        own = Leaf(self.name, self.name, self.avro, self.described, self)
        if not self.parts:
            return (own,)
        parts = tuple(
            Leaf(
                f"{self.name}.{part}",
                self.part_name(part),
                avro,
                "double" if avro == "double" else "picklist" if part == "GeocodeAccuracy" else "string",
                self,
                part,
            )
            for part, avro in self.parts
        )
        return (own, *parts) if self.doc_type == "Switchable_PersonName" else parts

    def part_name(self, part: str) -> str:
        """What a query calls a part: BillingCity, FirstName, Depot__Latitude__s."""
        if self.doc_type == "Address":
            return self.name.removesuffix("Address") + part
        if self.doc_type == "Location":
            return f"{self.name.removesuffix('__c')}__{part}__s"
        return part


def parse_fields(text: str, *, id_prefix: str = "") -> tuple[Field, ...]:
    """Definitions, one a line; blank lines count for nothing. `id_prefix` begins the ids of custom fields."""
    fields: list[Field] = []
    for line in text.splitlines():
        if line.strip():
            field = _parse_line(line.split())
            if field.custom:
                field = replace(field, field_id=f"{id_prefix}{len(fields):07d}")
            fields.append(field)
    return tuple(fields)


def _parse_line(words: list[str]) -> Field:
    name, doc_type, *rest = words
    made: dict[str, Any] = {}
    for word in rest:
        if word.startswith("->"):
            target, _, relationship = word[2:].partition(":")
            made["reference_to"] = tuple(target.split(","))
            made["relationship"] = relationship or name.removesuffix("Id")
        elif word.startswith("#"):
            groups, _, made["sensitivity"] = word[1:].partition(":")
            made["compliance"] = tuple(groups.split(",")) if groups else ()
        elif word == "required":
            made["required"] = True
        elif word == "fixed":
            made["updateable"] = False
        elif word == "derived":
            made.update(createable=False, updateable=False)
        elif word == "formula":
            made.update(createable=False, updateable=False, calculated=True)
        elif word == "silent":
            made.update(createable=False, updateable=False, in_events=False)
        elif word == "external":
            made["external_id"] = True
        elif word == "eventonly":
            made["in_queries"] = False
        else:
            made["picklist"] = tuple(value.replace("_", " ") for value in word.split("|"))
    return Field(name, doc_type, **made)
