"""Differences of two states of the set-up are lines of what a person wrote, and nothing of ids, dates or order."""

from __future__ import annotations

from cdc.answer.setup_diff import differences
from cdc.answer.setup_rows import Setup
from cdc.answer.setup_tree import tree_of, xml


def trigger(record_id: str, body: str) -> Setup:
    row = {"Name": "Guard", "Body": body, "Status": "Active", "LastModifiedDate": f"of {record_id}"}
    return Setup({"ApexTrigger": {record_id: row}})


def test_a_changed_line_of_source_is_shown_with_its_sign() -> None:
    rows = list(differences(trigger("a", "one\ntwo\nthree"), trigger("b", "one\n2\nthree")))
    assert [row[3] for row in rows] == ["@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"]
    assert {row[:3] for row in rows} == {("ApexTrigger:Guard", "changed", "Body")}


def test_the_same_source_under_another_id_and_date_is_no_difference() -> None:
    assert list(differences(trigger("a", "one"), trigger("b", "one"))) == []


def test_what_exists_on_one_side_only_is_said_so() -> None:
    assert {row[1] for row in differences(Setup(), trigger("a", "one"))} == {"added"}
    assert {row[1] for row in differences(trigger("a", "one"), Setup())} == {"removed"}


def test_a_tree_has_a_file_a_component_and_of_a_flow_the_active_version() -> None:
    versions = {
        n: {
            "Definition.DeveloperName": "Sync",
            "VersionNumber": n,
            "Status": status,
            "Metadata": f'{{"label": "v{n}"}}',
        }
        for n, status in (("1", "Active"), ("2", "Draft"))
    }
    tree = tree_of(Setup({"Flow": versions, "ApexTrigger": {"a": {"Name": "../../up", "Body": "text"}}}))
    assert set(tree) == {
        "flows/Sync.flow-meta.xml",
        "triggers/_.._up.trigger",
        "triggers/_.._up.trigger-meta.xml",
    }
    assert "<label>v1</label>" in tree["flows/Sync.flow-meta.xml"]


def test_hostile_text_is_escaped_in_a_tree() -> None:
    assert "<label>&lt;a&gt; &amp;</label>" in xml("Flow", {"label": "<a> &", "left_out": None})
