"""Files of metadata and the components they are, both ways, and text that differs only where a person would say so."""

from __future__ import annotations

import io
import stat
import zipfile
from random import Random

import pytest

from cdc.change.metadata import (
    SOURCE_TYPES,
    Source,
    canonical,
    components,
    file_text,
    manifest,
    package_files,
    parsed,
    source_tree,
    zipped,
)
from cdc.errors import OrgUnavailable
from connectors.salesforce.packages import unpacked

XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
FIELD = Source(
    "CustomField",
    "Account.Tier__c",
    file_text(parsed(f"<CustomField {XMLNS}><fullName>Tier__c</fullName><type>Text</type></CustomField>")),
)
RULE = Source("ValidationRule", "Account.Needed", file_text(parsed(f"<ValidationRule {XMLNS}><fullName>Needed</fullName><active>true</active></ValidationRule>")))  # fmt: skip
FLOW = Source("Flow", "Discount", f"<Flow {XMLNS}><status>Active</status></Flow>")
TRIGGER = Source(
    "ApexTrigger", "Guard", "trigger Guard on Account (after insert) {}", f"<ApexTrigger {XMLNS}/>"
)
ALL = {one.name: one for one in (FIELD, RULE, FLOW, TRIGGER)}


@pytest.mark.parametrize("layout", [package_files, source_tree])
@pytest.mark.parametrize("below", ["", "force-app/main/default/"])
def test_files_of_either_layout_are_the_same_components(layout: object, below: str) -> None:
    files = {below + path: text for path, text in layout(ALL.values()).items()}  # type: ignore[operator]
    assert components(files) == ALL


def test_parts_of_an_object_share_its_file_in_a_package_and_have_their_own_in_a_tree() -> None:
    assert sorted(package_files([FIELD, RULE])) == ["objects/Account.object"]
    assert sorted(source_tree([FIELD, RULE])) == [
        "objects/Account/fields/Tier__c.field-meta.xml",
        "objects/Account/validationRules/Needed.validationRule-meta.xml",
    ]


def test_only_wanted_types_are_taken_and_strange_files_are_passed_over() -> None:
    files = {
        **package_files(ALL.values()),
        "README.md": "text",
        "flows/readme.txt": "text",
        "package.xml": "<a/>",
    }
    assert set(components(files, ["Flow"])) == {"Flow:Discount"}


def test_the_order_of_elements_and_their_indentation_are_no_difference_and_their_text_is() -> None:
    one = f"<Flow {XMLNS}><status>Active</status><label>A &amp; B</label></Flow>"
    other = f"<Flow {XMLNS}>\n  <label>A &amp; B</label>\n\n  <status>Active</status></Flow>"
    assert canonical(one) == canonical(other)
    assert canonical(one) != canonical(other.replace("Active", "Draft"))
    steps = "<rules><conditions><a>1</a></conditions><conditions><a>2</a></conditions></rules>"
    turned = "<rules><conditions><a>2</a></conditions><conditions><a>1</a></conditions></rules>"
    assert canonical(f"<Flow>{steps}</Flow>") != canonical(f"<Flow>{turned}</Flow>")
    assert canonical("class A { \r\n}") == canonical("class A {\n}")


def test_a_package_has_the_same_bytes_every_time() -> None:
    files = {**package_files(ALL.values()), "package.xml": manifest({"Flow": ["Discount"]}, "66.0")}
    assert zipped(files) == zipped(dict(reversed(files.items())))
    assert unpacked(zipped(files), "test") == (files, [])


def hostile(name: str, link: bool = False) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        info = zipfile.ZipInfo("flows/a.flow")
        info.filename = name
        if link:
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "text")
    return packed.getvalue()


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/x", "C:/x", "a\\..\\b", "a//b", "./a", "a/\x07b"]
)
def test_a_name_that_leads_out_of_a_package_is_refused(name: str) -> None:
    with pytest.raises(OrgUnavailable, match="not safe"):
        unpacked(hostile(name), "test")


def test_a_link_in_a_package_is_refused() -> None:
    with pytest.raises(OrgUnavailable, match="not safe"):
        unpacked(hostile("unpackaged/flows/a.flow", link=True), "test")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for n in range(9):
            made.writestr(f"unpackaged/classes/A{n}.cls", bytes(50 * 1024 * 1024))
    assert len(packed.getvalue()) < 1024 * 1024
    with pytest.raises(OrgUnavailable, match="too large"):
        unpacked(packed.getvalue(), "test")


def test_bytes_that_are_no_text_are_named_and_left_out() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("unpackaged/staticresources/Logo.resource", b"\x89PNG\xff")
        made.writestr("unpackaged/classes/A.cls", "class A {}")
    files, problems = unpacked(packed.getvalue(), "test")
    assert files == {"classes/A.cls": "class A {}"}
    assert problems == ["staticresources/Logo.resource is no text"]


def test_damaged_packages_are_one_clear_refusal_and_nothing_else() -> None:
    whole, random = zipped(package_files(ALL.values())), Random(5)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 6)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        try:
            unpacked(bytes(damaged[: random.randint(1, len(damaged))]), "test")
        except OrgUnavailable:
            continue


def test_every_type_has_a_place_of_its_own_in_a_tree() -> None:
    made = [Source(kind, "A.B" if one.tag else "A", f"<{kind}/>") for kind, one in SOURCE_TYPES.items()]
    tree = source_tree(made)
    assert len(tree) == len(made)
    assert set(components(tree)) >= {one.name for one in made if one.type != "CustomObject"}
