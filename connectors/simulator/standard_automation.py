"""The rules and flows of an org that has been lived in: what a restore has to reckon with."""

from __future__ import annotations

from typing import Any

from connectors.simulator.org import SimulatedOrg


def add_standard(org: SimulatedOrg) -> None:
    """Assignment of cases and leads with mail, a validation rule, a duplicate rule, flows that touch other records."""
    owner = next((user["id"] for user in org.users if user["role"] == "operations"), org.administrator_id)
    for kind, rule in _rules(str(owner)):
        org.automation.add(kind, rule)


def _rules(owner: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("assignment", {"name": "Standard Case Assignment", "entity": "Case", "owner": owner}),
        (
            "assignment",
            {"name": "Web Leads", "entity": "Lead", "owner": owner, "condition": "LeadSource = 'Web'"},
        ),
        (
            "validation",
            {
                "name": "Amount_Not_Negative",
                "entity": "Opportunity",
                "condition": "Amount < 0",
                "message": "The amount cannot be negative.",
                "field": "Amount",
            },
        ),
        ("duplicate", {"name": "Same Contact", "entity": "Contact", "fields": ["Email", "Name.LastName"]}),
        (
            "trigger",
            {
                "name": "Account_Phone_To_Contacts",
                "entity": "Account",
                "changed": ["Phone"],
                "effects": [{"to": "children:Contact.AccountId", "set": {"HomePhone": {"copy": "Phone"}}}],
                "kind": "apex",
            },
        ),
    ]
