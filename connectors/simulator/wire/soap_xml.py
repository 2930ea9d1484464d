"""SOAP envelopes: reading a call with its headers, writing results, records and faults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from connectors.simulator.errors import OrgError
from connectors.simulator.rows import utc
from connectors.simulator.wire.sessions import Session

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
METADATA = "http://soap.sforce.com/2006/04/metadata"
NAMESPACES = {"u": "urn:partner.soap.sforce.com", "c": "urn:enterprise.soap.sforce.com", "m": METADATA}
SOBJECT = {
    "u": "urn:sobject.partner.soap.sforce.com",
    "c": "urn:sobject.enterprise.soap.sforce.com",
    "m": METADATA,
}
FAULTS = {"m": METADATA}
FAULTS_ELSE = "urn:fault.partner.soap.sforce.com"

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML cannot hold in any form."""


@dataclass(slots=True)
class Call:
    """One call: `name` is the operation, headers as the caller gave them."""

    name: str
    body: ElementTree.Element
    flavour: str
    version: str
    session_id: str = ""
    client: str = ""
    all_or_none: bool = False
    assigns: bool = False
    allows_duplicates: bool = False
    session: Session | None = field(default=None, repr=False)

    def elements(self, name: str) -> list[ElementTree.Element]:
        """The arguments of that name."""
        return [one for one in self.body if local_name(one) == name]

    def texts(self, name: str) -> list[str]:
        return [(one.text or "").strip() for one in self.elements(name)]

    def text(self, name: str) -> str:
        return next(iter(self.texts(name)), "")

    def records(
        self, name: str, within: ElementTree.Element | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        """Records as (entity, fields by name); a field in fieldsToNull is None."""
        parent = self.body if within is None else within
        return [_record(one) for one in parent if local_name(one) == name]


def local_name(element: ElementTree.Element) -> str:
    """A tag without its namespace."""
    return element.tag.rpartition("}")[2]


def parsed(content: bytes, flavour: str, version: str) -> Call:
    """The call in an envelope. Raises OrgError for what is none."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise OrgError("INVALID_SOAP_HEADER", "A document type is not allowed")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - no document type, see above
    except ElementTree.ParseError as error:
        raise OrgError("MALFORMED_SOAP", f"The envelope cannot be read: {error}") from None
    parts = {local_name(one): one for one in root}
    body = next(iter(parts["Body"]), None) if "Body" in parts else None
    if body is None:
        raise OrgError("MALFORMED_SOAP", "The envelope has no body")
    call = Call(local_name(body), body, flavour, version)
    for header in parts.get("Header", ()):
        _take_header(call, header)
    return call


def _take_header(call: Call, header: ElementTree.Element) -> None:
    values = {local_name(one): (one.text or "").strip() for one in header}
    match local_name(header):
        case "SessionHeader":
            call.session_id = values.get("sessionId", "")
        case "CallOptions":
            call.client = values.get("client", "")
        case "AllOrNoneHeader":
            call.all_or_none = values.get("allOrNone") == "true"
        case "AssignmentRuleHeader":
            call.assigns = values.get("useDefaultRule") == "true" or bool(values.get("assignmentRuleId"))
        case "DuplicateRuleHeader":
            call.allows_duplicates = values.get("allowSave") == "true"


def _record(element: ElementTree.Element) -> tuple[str, dict[str, Any]]:
    entity = element.get(f"{{{XSI}}}type", "").rpartition(":")[2]
    fields: dict[str, Any] = {}
    for one in element:
        name = local_name(one)
        if name == "type":
            entity = (one.text or "").strip()
        elif name == "fieldsToNull":
            fields[(one.text or "").strip()] = None
        elif len(one):
            fields[name] = _record(one)[1]
        elif one.get(f"{{{XSI}}}nil") != "true":
            fields["Id" if name.lower() == "id" else name] = one.text or ""
    return entity, fields


def envelope(call: Call, result: str) -> str:
    """An answer in the namespace of the call."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENVELOPE}" '
        f'xmlns="{NAMESPACES[call.flavour]}" xmlns:xsi="{XSI}" xmlns:sf="{SOBJECT[call.flavour]}">'
        f"<soapenv:Body><{call.name}Response>{result}</{call.name}Response></soapenv:Body></soapenv:Envelope>"
    )


def fault(error: OrgError, flavour: str = "") -> str:
    """A refusal of the whole call."""
    code, said = escape(error.code), escape(f"{error.code}: {error.message}")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENVELOPE}" '
        f'xmlns:sf="{FAULTS.get(flavour, FAULTS_ELSE)}" xmlns:xsi="{XSI}"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>sf:{code}</faultcode><faultstring>{said}</faultstring><detail>"
        f'<sf:UnexpectedErrorFault xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(error.message)}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )


def error_elements(error: OrgError) -> str:
    """What an `errors` element holds."""
    fields = "".join(f"<fields>{escape(name)}</fields>" for name in error.fields)
    return f"{fields}<message>{escape(error.message)}</message><statusCode>{escape(error.code)}</statusCode>"


def record_xml(name: str, row: Mapping[str, Any]) -> str:
    """A REST row as an sObject element: type and id first, then the fields asked for."""
    entity = row["attributes"]["type"]
    fields = "".join(_field_xml(key, value) for key, value in row.items() if key != "attributes")
    record_id = row.get("Id")
    head = f"<sf:Id>{record_id}</sf:Id>" if record_id else '<sf:Id xsi:nil="true"/>'
    return f'<{name} xsi:type="sf:sObject"><sf:type>{entity}</sf:type>{head}{fields}</{name}>'


def _field_xml(name: str, value: Any) -> str:
    if isinstance(value, Mapping) and "attributes" in value:
        return record_xml(f"sf:{name}", value)
    return value_xml(f"sf:{name}", value)


def value_xml(name: str, value: Any) -> str:
    """A value as an element, a list as several, a mapping as nested ones."""
    return "".join(_elements(name, value))


def _elements(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _elements(name, one)
    elif value is None:
        yield f'<{name} xsi:nil="true"/>'
    elif isinstance(value, Mapping):
        inner = "".join(value_xml(key, one) for key, one in value.items())
        yield f"<{name}>{inner}</{name}>"
    else:
        yield f"<{name}>{escape(_text(value))}</{name}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _FORBIDDEN.sub("", str(value))
    return f"{text[:-5]}Z" if text.endswith("+0000") and text[10:11] == "T" else text


def instant(ms: int) -> str:
    """`2026-11-23T10:02:00.000Z`."""
    return f"{utc(ms):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
