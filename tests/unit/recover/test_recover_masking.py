"""Masks: of the value's kind, the same every time, and never longer than the field."""

from __future__ import annotations

import pytest

from cdc.recover.classes import classed, split
from cdc.recover.masking import mask

KEY = b"a key of this test"


@pytest.mark.parametrize("kind", ["string", "textarea", "email", "phone", "url", "date"])
def test_a_mask_is_the_same_every_time_and_another_for_another_value(kind: str) -> None:
    made = mask(kind, "Ada Lovelace", KEY)
    assert made == mask(kind, "Ada Lovelace", KEY)
    assert made != "Ada Lovelace"
    assert kind == "date" or made != mask(kind, "Charles Babbage", KEY)


@pytest.mark.parametrize("length", [2, 10, 18, 40])
def test_a_mask_fits_its_field(length: int) -> None:
    made = mask("string", "Bavaria", KEY, length)
    assert made is not None
    assert len(made) <= length
    assert mask("email", "a@b.example", KEY, 10) is None  # no mail address at all, rather than half of one


def test_a_number_a_choice_and_a_pointer_are_emptied() -> None:
    assert [mask(kind, "12", KEY) for kind in ("double", "picklist", "reference", "boolean")] == [None] * 4


def test_names_without_a_dot_are_classes() -> None:
    assert split(["Contact.Email", "PII", "Account.BillingAddress.City"]) == (
        {"Contact.Email", "Account.BillingAddress.City"},
        {"PII"},
    )


class _Org:
    """Answers FieldDefinition alone."""

    def __init__(self, *rows: dict[str, str | None]) -> None:
        self.rows, self.asked = rows, []

    async def query(self, soql: str, **_: object):  # type: ignore[no-untyped-def]
        self.asked.append(soql)
        yield type("Page", (), {"rows": self.rows})


async def test_a_field_of_several_groups_is_found_by_any_of_them_and_by_its_sensitivity() -> None:
    def row(name: str, groups: str | None, sensitivity: str | None) -> dict[str, str | None]:
        return {"QualifiedApiName": name, "ComplianceGroup": groups, "SecurityClassification": sensitivity}

    org = _Org(row("Email", "GDPR;PII", None), row("Birthdate", None, "Restricted"), row("Title", None, None))
    assert await classed(org, ["Contact"], {"pii"}) == {"Contact.Email"}  # type: ignore[arg-type]
    assert await classed(org, ["Contact"], {"Restricted", "GDPR"}) == {"Contact.Email", "Contact.Birthdate"}  # type: ignore[arg-type]
