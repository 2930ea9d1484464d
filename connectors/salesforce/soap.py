"""The one call on records that only SOAP has: undelete (SOAP API guide, "undelete()").

The session goes into the envelope, and a refused one comes back as a fault with HTTP 500.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from cdc.change.ids import to_18
from cdc.errors import OrgUnavailable
from cdc.ports.orgwriter import WriteError, WriteResult, Written
from cdc.ports.types import RecordId
from connectors.salesforce.rest import Answer, Raw, Rest, error_of
from connectors.salesforce.session import Token

PARTNER = "urn:partner.soap.sforce.com"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"

_FAULT = re.compile(rb"<faultcode>\s*(?:\w+:)?(\w+)\s*</faultcode>")
_FAULT_TEXT = re.compile(rb"<faultstring>(.*?)</faultstring>", re.DOTALL)
STATUS_OF = {"INVALID_SESSION_ID": 401, "REQUEST_LIMIT_EXCEEDED": 403, "SERVER_UNAVAILABLE": 503}


async def called(
    rest: Rest, door: str, namespace: str, call: str, body: str, *, client: str, where: str, headers: str = ""
) -> Raw:
    """The raw answer of one call, a refusal too; the session goes into the envelope and is renewed where it has ended.

    `door` is the API's letter in the path; in `body` and `headers` the prefix of `namespace` is `a`.
    """

    def envelope(token: Token) -> bytes:
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{ENVELOPE}" xmlns:a="{namespace}">'
            f"<e:Header><a:SessionHeader><a:sessionId>{escape(token.access_token)}</a:sessionId></a:SessionHeader>"
            f"<a:CallOptions><a:client>{escape(client)}</a:client></a:CallOptions>{headers}"
            f"</e:Header><e:Body><a:{call}>{body}</a:{call}></e:Body></e:Envelope>"
        ).encode()

    return await rest.exchange(
        "POST",
        f"/services/Soap/{door}/{rest.api_version}",
        content=envelope,
        headers={"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', "Accept": "text/xml"},
        refused=lambda raw: raw.status == 401 or fault_of(raw)[0] == "INVALID_SESSION_ID",
        where=where,
    )


async def undelete(rest: Rest, ids: Sequence[RecordId], *, client: str, all_or_none: bool) -> Written:
    """Take records out of the Recycle Bin. Errors: those of the port `OrgWriter`."""
    where = f"undelete of {len(ids)}"
    asked = "".join(f"<a:ids>{record_id}</a:ids>" for record_id in ids)
    whole = f"<a:AllOrNoneHeader><a:allOrNone>{str(all_or_none).lower()}</a:allOrNone></a:AllOrNoneHeader>"
    raw = await called(rest, "u", PARTNER, "undelete", asked, client=client, where=where, headers=whole)
    code, said = fault_of(raw)
    if code or raw.status >= 300:
        body = [{"errorCode": code, "message": said}]
        raise error_of(
            Answer(STATUS_OF.get(code, raw.status if not code else 400), body, raw.org_time), where
        )
    results = tuple(_result(one) for one in document_of(raw, where).iter(f"{{{PARTNER}}}result"))
    if len(results) != len(ids):
        raise OrgUnavailable("the org's answer has not a result for each record", where=where)
    return Written(results, raw.org_time)


def fault_of(raw: Raw) -> tuple[str, str]:
    """Code and words of a refusal; both empty where it is none."""
    code, text = _FAULT.search(raw.content), _FAULT_TEXT.search(raw.content)
    if code is None:
        return "", ""
    return code[1].decode(), text[1].decode(errors="replace") if text else ""


def document_of(raw: Raw, where: str) -> ElementTree.Element:
    """The answer as a tree. A document type is refused: only it could make a small answer large."""
    try:
        if b"<!" in raw.content.replace(b"<![CDATA[", b""):
            raise ElementTree.ParseError
        return ElementTree.fromstring(raw.content)  # noqa: S314 - no document type, see above
    except ElementTree.ParseError:
        raise OrgUnavailable("the org's answer is not XML", where=where, do="look for a proxy") from None


def _result(element: ElementTree.Element) -> WriteResult:
    def text(parent: ElementTree.Element, name: str) -> str:
        return (parent.findtext(f"{{{PARTNER}}}{name}") or "").strip()

    record_id = text(element, "id")
    return WriteResult(
        RecordId(to_18(record_id)) if record_id else None,
        success=text(element, "success") == "true",
        errors=tuple(
            WriteError(
                text(error, "statusCode"),
                text(error, "message"),
                tuple(field.text or "" for field in error.iter(f"{{{PARTNER}}}fields")),
            )
            for error in element.iter(f"{{{PARTNER}}}errors")
        ),
    )
