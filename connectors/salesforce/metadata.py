"""The Metadata API over SOAP (Metadata API guide): list, retrieve and deploy, the latter two waited for.

A retrieve or deploy is begun by one call and asked after by others until it has ended; the pauses grow.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from cdc.errors import BadArgument, OrgUnavailable, TooLarge
from cdc.ports.metadata import DeployMessage, DeployStatus, Listed, Listing, Retrieved
from cdc.ports.types import Millis
from connectors.salesforce.packages import unpacked
from connectors.salesforce.rest import Answer, Rest, error_of
from connectors.salesforce.session import retry_after_s
from connectors.salesforce.soap import STATUS_OF, called, document_of, fault_of

METADATA: Final = "http://soap.sforce.com/2006/04/metadata"
QUERIES_MAX: Final = 3
"""Types of one listMetadata."""
FIRST_PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 10.0
WAIT_MAX_S: Final = 1_800.0
"""A retrieve or deploy that takes longer is given up; the org ends it some day."""
_INSTALLED: Final = "installed"
"""Of a managed package: its source is its maker's, and cannot be deployed."""
_TOO_MUCH = ("LIMIT_EXCEEDED", "REQUEST_SIZE", "exceeded the limit", "too large", "Maximum size")


class SalesforceMetadata:
    """An `OrgMetadata` that shares session and budget with an org. Errors: those of the port."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._calls = 0
        self._unknown: set[str] = set()

    @property
    def calls(self) -> int:
        return self._calls

    async def listed(self, types: Sequence[str]) -> Listing:
        found: list[Listed] = []
        times: list[Millis] = []
        wanted = [one for one in types if one not in self._unknown]
        for at in range(0, len(wanted), QUERIES_MAX):
            some = wanted[at : at + QUERIES_MAX]
            try:
                elements, org_time = await self._list(some)
            except BadArgument as error:
                if "INVALID_TYPE" not in error.what:
                    raise
                elements, org_time = await self._list_each(some)
            found += [_listed(one) for one in elements if _said(one, "manageableState") != _INSTALLED]
            if org_time:
                times.append(org_time)
        known = tuple(one for one in wanted if one not in self._unknown)
        return Listing(tuple(found), min(times, default=Millis(0)), known)

    async def _list(self, types: Sequence[str]) -> tuple[list[ElementTree.Element], Millis]:
        queries = "".join(f"<a:queries><a:type>{escape(one)}</a:type></a:queries>" for one in types)
        version = f"<a:asOfVersion>{self._rest.api_version}</a:asOfVersion>"
        return await self._results("listMetadata", queries + version)

    async def _list_each(self, types: Sequence[str]) -> tuple[list[ElementTree.Element], Millis]:
        """One of them is unknown to the org: which one is found out once."""
        found: list[ElementTree.Element] = []
        newest = Millis(0)
        for one in types:
            try:
                elements, org_time = await self._list([one])
            except BadArgument as error:
                if "INVALID_TYPE" not in error.what:
                    raise
                self._unknown.add(one)
                continue
            found += elements
            newest = newest or org_time
        return found, newest

    async def retrieve(self, members: Mapping[str, Sequence[str]]) -> Retrieved:
        try:
            return await self._retrieve(members)
        except TooLarge as error:
            halves = _halves(members)
            if not halves:
                raise OrgUnavailable(
                    error.what, where=error.where, do="leave the type out of poll.metadata"
                ) from None
        files: dict[str, str] = {}
        problems: list[str] = []
        for half in halves:
            part = await self.retrieve(half)
            # Parts of one object may come in both halves, in a file of the same name.
            files |= {
                path if path not in files else f"{len(files)}/{path}": text
                for path, text in part.files.items()
            }
            problems += part.problems
        return Retrieved(files, tuple(problems), part.org_time)

    async def _retrieve(self, members: Mapping[str, Sequence[str]]) -> Retrieved:
        where = f"retrieve of {sum(map(len, members.values()))}"
        types = "".join(
            f"<a:types>{''.join(f'<a:members>{escape(name)}</a:members>' for name in names)}"
            f"<a:name>{escape(kind)}</a:name></a:types>"
            for kind, names in members.items()
        )
        version = self._rest.api_version
        asked = (
            f"<a:retrieveRequest><a:apiVersion>{version}</a:apiVersion><a:singlePackage>true</a:singlePackage>"
            f"<a:unpackaged>{types}<a:version>{version}</a:version></a:unpackaged></a:retrieveRequest>"
        )
        [begun], _ = await self._results("retrieve", asked)
        status = f"<a:asyncProcessId>{escape(_said(begun, 'id'))}</a:asyncProcessId>"
        async for _ in self._pauses(where):
            [result], org_time = await self._results(
                "checkRetrieveStatus", f"{status}<a:includeZip>true</a:includeZip>"
            )
            if _said(result, "done") == "true":
                break
        if _said(result, "success") != "true":
            said = f"{_said(result, 'errorStatusCode')}: {_said(result, 'errorMessage')}"
            kind = TooLarge if any(one in said for one in _TOO_MUCH) else OrgUnavailable
            raise kind(f"the org could not give its metadata ({said})", where=where)
        try:
            content = base64.b64decode(_said(result, "zipFile"), validate=False)
        except binascii.Error:
            raise OrgUnavailable("the org's package is not base64", where=where) from None
        files, problems = unpacked(content, where)
        problems += [_said(one, "problem") for one in result.iter(f"{{{METADATA}}}messages")]
        return Retrieved(files, tuple(problems), org_time)

    async def deploy(self, package: bytes, *, check_only: bool) -> str:
        options = {
            "allowMissingFiles": False,
            "autoUpdatePackage": False,
            "checkOnly": check_only,
            "ignoreWarnings": True,
            "performRetrieve": False,
            "purgeOnDelete": False,
            "rollbackOnError": True,
            "singlePackage": True,
        }
        given = "".join(f"<a:{name}>{str(value).lower()}</a:{name}>" for name, value in options.items())
        content = base64.b64encode(package).decode()
        asked = f"<a:ZipFile>{content}</a:ZipFile><a:DeployOptions>{given}</a:DeployOptions>"
        [begun], _ = await self._results("deploy", asked)
        return _said(begun, "id")

    async def deploy_status(self, deploy_id: str) -> DeployStatus:
        asked = f"<a:asyncProcessId>{escape(deploy_id)}</a:asyncProcessId><a:includeDetails>true</a:includeDetails>"
        [result], org_time = await self._results("checkDeployStatus", asked)
        messages = [
            one
            for name in ("componentFailures", "componentSuccesses")
            for one in result.iter(f"{{{METADATA}}}{name}")
            if _said(one, "componentType")
        ]
        return DeployStatus(
            id=_said(result, "id"),
            status=_said(result, "status"),
            done=_said(result, "done") == "true",
            success=_said(result, "success") == "true",
            check_only=_said(result, "checkOnly") == "true",
            messages=tuple(_message(one) for one in messages),
            error=_said(result, "errorMessage"),
            org_time=org_time,
        )

    async def deployed(self, deploy_id: str) -> DeployStatus:
        async for _ in self._pauses(f"deploy {deploy_id}"):
            status = await self.deploy_status(deploy_id)
            if status.done:
                break
        return status

    async def _pauses(self, where: str) -> AsyncIterator[None]:
        clock = self._rest.clock
        begun_s, pause_s = clock.monotonic_s(), FIRST_PAUSE_S
        while clock.monotonic_s() - begun_s < WAIT_MAX_S:
            await clock.sleep(pause_s)
            yield
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
        raise OrgUnavailable(f"the org has not ended it in {WAIT_MAX_S / 60:.0f} minutes", where=where)

    async def _results(self, call: str, body: str) -> tuple[list[ElementTree.Element], Millis]:
        """The `result` elements of a call."""
        self._calls += 1
        raw = await called(self._rest, "m", METADATA, call, body, client=self._rest.client_name, where=call)
        code, said = fault_of(raw)
        if code or raw.status >= 300:
            refusal = [{"errorCode": code, "message": said}]
            status = STATUS_OF.get(code, 400 if code else raw.status)
            if code == "INVALID_TYPE":
                raise BadArgument(f"the org does not know it (INVALID_TYPE: {said})", where=call)
            wait_s = retry_after_s(raw.headers.get("Retry-After"))
            raise error_of(Answer(status, refusal, raw.org_time, wait_s), call)
        found = list(document_of(raw, call).iter(f"{{{METADATA}}}result"))
        if not found and call != "listMetadata":
            raise OrgUnavailable("the org's answer has no result", where=call, do="look for a proxy")
        return found, raw.org_time


def _halves(members: Mapping[str, Sequence[str]]) -> list[dict[str, list[str]]]:
    """Two packages of half the components each; none where there is only one."""
    pairs = [(kind, name) for kind, names in members.items() for name in names]
    if len(pairs) < 2:
        return []
    made: list[dict[str, list[str]]] = []
    for some in (pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]):
        half: dict[str, list[str]] = {}
        for kind, name in some:
            half.setdefault(kind, []).append(name)
        made.append(half)
    return made


def _said(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(f"{{{METADATA}}}{name}") or "").strip()


def _listed(one: ElementTree.Element) -> Listed:
    return Listed(
        _said(one, "type"),
        _said(one, "fullName"),
        _said(one, "fileName"),
        _said(one, "id"),
        _said(one, "lastModifiedDate"),
        _said(one, "lastModifiedById"),
    )


def _message(one: ElementTree.Element) -> DeployMessage:
    failed = _said(one, "success") != "true"
    return DeployMessage(
        _said(one, "componentType"),
        _said(one, "fullName"),
        _said(one, "problem") or "the org gave no reason" if failed else "",
        changed=_said(one, "changed") == "true",
        created=_said(one, "created") == "true",
        deleted=_said(one, "deleted") == "true",
    )
