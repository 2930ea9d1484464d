"""The Metadata API: retrieve, deploy, list and describe over SOAP, and deploy over REST.

A retrieve or deploy is asked for, and then asked after until it has ended. Elements of a SOAP answer stand in the
order of the service's WSDL, since clients made from it go by that order.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from aiohttp import BodyPartReader, web

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import record_id as make_id
from connectors.simulator.metadata_deploy import Outcome
from connectors.simulator.metadata_files import TYPES, Component
from connectors.simulator.metadata_jobs import POD, Deploy, DeployOptions
from connectors.simulator.metadata_xml import inner_xml
from connectors.simulator.wire.answers import SESSION, json_answer
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.soap_xml import Call, envelope, fault, instant, local_name, parsed, value_xml

QUERIES_MAX = 3
READ_MAX = 10


@dataclass(slots=True)
class Retrieve:
    """One retrieve. `content` is its zip once it has ended."""

    id: str
    members: Mapping[str, list[str]]
    version: str
    done: bool = False
    content: bytes = b""
    components: list[Component] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    error: str = ""


class Metadata:
    """Handlers of one org."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._org = wire.org
        self._retrieves: dict[str, Retrieve] = {}
        self._calls: dict[str, Callable[[Call], str]] = {
            "describeMetadata": self._describe,
            "listMetadata": self._list,
            "readMetadata": self._read,
            "retrieve": self._retrieve,
            "checkRetrieveStatus": self._check_retrieve,
            "deploy": self._deploy,
            "checkDeployStatus": self._check_deploy,
            "cancelDeploy": self._cancel,
        }

    def routes(self) -> list[web.RouteDef]:
        """Where the Metadata API lives; clients put what they like behind the version."""
        rest = "/services/data/v{version}/metadata/deployRequest"
        return [
            web.post("/services/Soap/m/{version}", self.handle),
            web.post("/services/Soap/m/{version}/{tail:.*}", self.handle),
            web.post(rest, self.post_deploy),
            web.get(f"{rest}/{{id}}", self.get_deploy),
            web.patch(f"{rest}/{{id}}", self.patch_deploy),
        ]

    async def handle(self, request: web.Request) -> web.Response:
        """One call over SOAP."""
        try:
            call = parsed(await request.read(), "m", request.match_info["version"])
            make = self._calls.get(call.name)
            if make is None:
                raise OrgError("INVALID_OPERATION", f"The operation {call.name} is not available.")
            call.session = self._wire.session(call.session_id, "/services/Soap")
            if call.session is None:
                raise OrgError(
                    "INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session"
                )
            self._wire.count_call("/services/Soap")
            answer = envelope(call, make(call))
        except OrgError as error:
            return web.Response(text=fault(error, "m"), status=500, content_type="text/xml", charset="utf-8")
        return web.Response(text=answer, content_type="text/xml", charset="utf-8")

    # -- what there is --------------------------------------------------------------------------------------

    def _describe(self, _: Call) -> str:
        rows = "".join(
            value_xml(
                "metadataObjects",
                {
                    "childXmlNames": [child.name for child in TYPES.values() if child.parent == one.name],
                    "directoryName": one.folder,
                    "inFolder": False,
                    "metaFile": one.meta_file,
                    "suffix": one.suffix,
                    "xmlName": one.name,
                },
            )
            for one in TYPES.values()
            if not one.parent
        )
        more = "<organizationNamespace></organizationNamespace><partialSaveAllowed>true</partialSaveAllowed>"
        return f"<result>{rows}{more}<testRequired>false</testRequired></result>"

    def _list(self, call: Call) -> str:
        queries = call.elements("queries")
        if len(queries) > QUERIES_MAX:
            raise OrgError("EXCEEDED_MAX_TYPES_LIMIT", f"at most {QUERIES_MAX} queries in one call")
        made = []
        for query in queries:
            kind = next((one.text or "" for one in query if local_name(one) == "type"), "").strip()
            if kind not in TYPES:
                raise OrgError("INVALID_TYPE", f"Unknown type:{kind}")
            made += [
                value_xml("result", self._properties(one)) for one in self._org.metadata.components(kind)
            ]
        return "".join(made)

    def _properties(self, one: Component, top: str = "") -> dict[str, Any]:
        names = {user["id"]: user["name"] for user in self._org.users}
        row = one.row
        by = row.get("LastModifiedById") or self._org.administrator_id
        changed = instant(int(row.get("LastModifiedDate") or self._org.started_at))
        return {
            "createdById": by,
            "createdByName": names.get(by, ""),
            "createdDate": instant(int(row.get("CreatedDate") or self._org.started_at)),
            "fileName": top + one.path,
            "fullName": one.full_name,
            "id": one.id,
            "lastModifiedById": by,
            "lastModifiedByName": names.get(by, ""),
            "lastModifiedDate": changed,
            "manageableState": "unmanaged",
            "type": one.type,
        }

    def _read(self, call: Call) -> str:
        kind, names = call.text("type"), call.texts("fullNames")
        if kind not in TYPES:
            raise OrgError("INVALID_TYPE", f"Unknown type:{kind}")
        if len(names) > READ_MAX:
            raise OrgError(
                "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {READ_MAX} records"
            )
        made = []
        for name in names:
            found = self._org.metadata.find(kind, name)
            values = {**found.values, "fullName": name} if found else {}
            if found and found.body:
                values["content"] = base64.b64encode(found.body.encode()).decode()
            made.append(
                f'<records xsi:type="{kind}">{inner_xml(values)}</records>'
                if found
                else '<records xsi:nil="true"/>'
            )
        return f"<result>{''.join(made)}</result>"

    # -- retrieving -----------------------------------------------------------------------------------------

    def _retrieve(self, call: Call) -> str:
        request = next(
            iter(call.body), None
        )  # `retrieveRequest`; known clients call it `request`, and are served
        if request is None:
            raise OrgError("INVALID_OPERATION", "retrieveRequest is missing")
        members: dict[str, list[str]] = {}
        version = call.version
        for one in request:
            if local_name(one) == "apiVersion":
                version = (one.text or version).strip()
            if local_name(one) == "unpackaged":
                for kind, name in _members(one):
                    members.setdefault(kind, []).append(name)
        made = Retrieve(make_id("09S", POD, len(self._retrieves) + 1), members, version)
        self._retrieves[made.id] = made
        asyncio.get_running_loop().call_later(self._wire.options.metadata_s, self._end_retrieve, made)
        return f"<result><done>false</done><id>{made.id}</id><state>Queued</state></result>"

    def _end_retrieve(self, made: Retrieve) -> None:
        made.content, made.components, made.problems = self._org.metadata.package(made.members, made.version)
        most = self._org.knobs.retrieve_files_max
        if len(made.components) > most:
            made.error = f"Your request exceeded the limit of {most} files"
            made.content, made.components = b"", []
        made.done = True

    def _check_retrieve(self, call: Call) -> str:
        asked = call.text("asyncProcessId")
        made = next((one for one in self._retrieves.values() if one.id[:15] == asked[:15]), None)
        if made is None:
            raise OrgError("INVALID_ID_FIELD", f"invalid retrieve id: {asked}")
        if not made.done:
            values: dict[str, Any] = {"done": False, "id": made.id, "status": "InProgress", "success": False}
            return value_xml("result", values)
        values = {
            "done": True,
            **({"errorMessage": made.error, "errorStatusCode": "LIMIT_EXCEEDED"} if made.error else {}),
            "fileProperties": [self._properties(one, "unpackaged/") for one in made.components],
            "id": made.id,
            "messages": [{"fileName": "unpackaged/package.xml", "problem": one} for one in made.problems],
            "status": "Failed" if made.error else "Succeeded",
            "success": not made.error,
        }
        if made.content and call.text("includeZip") != "false":
            values["zipFile"] = base64.b64encode(made.content).decode()
        return value_xml("result", values)

    # -- deploying ------------------------------------------------------------------------------------------

    def _deploy(self, call: Call) -> str:
        given = next(iter(call.elements("DeployOptions")), None)
        options = {local_name(one): (one.text or "").strip() for one in given} if given is not None else {}
        try:
            content = base64.b64decode(call.text("ZipFile"), validate=False)
        except binascii.Error:
            raise OrgError("INVALID_OPERATION", "ZipFile is not base64") from None
        assert call.session is not None
        deploy = self._begin(content, _options(options), call.session.user_id)
        return f"<result><done>false</done><id>{deploy.id}</id><state>Queued</state></result>"

    def _begin(self, content: bytes, options: DeployOptions, user_id: str) -> Deploy:
        deploy = self._org.deployments.begin(content, options, user_id)
        loop = asyncio.get_running_loop()
        loop.call_later(self._wire.options.metadata_s, self._org.deployments.run, deploy)
        return deploy

    def _check_deploy(self, call: Call) -> str:
        deploy = self._org.deployments.find(call.text("asyncProcessId"))
        return value_xml("result", _result(deploy, details=call.text("includeDetails") == "true"))

    def _cancel(self, call: Call) -> str:
        deploy = self._org.deployments.find(call.text("String") or call.text("asyncProcessId"))
        self._org.deployments.cancel(deploy)
        return value_xml("result", {"done": deploy.done, "id": deploy.id})

    async def post_deploy(self, request: web.Request) -> web.Response:
        """A deploy as two parts: one of JSON with its options, one with the zip."""
        if not request.content_type.startswith("multipart/"):
            raise OrgError("UNSUPPORTED_MEDIA_TYPE", "send multipart/form-data", status=415)
        options: dict[str, Any] = {}
        content = b""
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.headers.get("Content-Type", "").startswith("application/json"):
                try:
                    options = json.loads(await part.text())["deployOptions"]
                except (ValueError, KeyError, TypeError):
                    raise OrgError("JSON_PARSER_ERROR", "the JSON part has no deployOptions") from None
            else:
                content = bytes(await part.read(decode=True))
        deploy = self._begin(content, _options(options), request[SESSION].user_id)
        made = _result(deploy, details=False)
        return json_answer({"id": deploy.id, "deployOptions": options, "deployResult": made}, status=201)

    async def get_deploy(self, request: web.Request) -> web.Response:
        """How far it is, and with `includeDetails=true` its components."""
        deploy = self._org.deployments.find(request.match_info["id"])
        details = request.query.get("includeDetails") == "true"
        return json_answer({"id": deploy.id, "deployResult": _result(deploy, details=details)})

    async def patch_deploy(self, request: web.Request) -> web.Response:
        """Cancel: `{"deployResult": {"status": "Canceling"}}`."""
        deploy = self._org.deployments.find(request.match_info["id"])
        self._org.deployments.cancel(deploy)
        return json_answer({"id": deploy.id, "deployResult": _result(deploy, details=False)}, status=202)


def _members(unpackaged: ElementTree.Element) -> list[tuple[str, str]]:
    made = []
    for types in unpackaged:
        if local_name(types) == "types":
            kind = next((one.text or "" for one in types if local_name(one) == "name"), "").strip()
            made += [(kind, (one.text or "").strip()) for one in types if local_name(one) == "members"]
    return made


def _options(given: Mapping[str, Any]) -> DeployOptions:
    def said(name: str, otherwise: bool) -> bool:
        value = given.get(name, otherwise)
        return value if isinstance(value, bool) else str(value).lower() == "true"

    return DeployOptions(
        check_only=said("checkOnly", False),
        rollback_on_error=said("rollbackOnError", True),
        single_package=said("singlePackage", False),
        allow_missing_files=said("allowMissingFiles", False),
        ignore_warnings=said("ignoreWarnings", False),
        test_level=str(given.get("testLevel") or "NoTestRun"),
    )


def _result(deploy: Deploy, *, details: bool) -> dict[str, Any]:
    """A DeployResult, its keys in the WSDL's order."""
    made: dict[str, Any] = {
        "checkOnly": deploy.options.check_only,
        "completedDate": instant(deploy.completed_at) if deploy.completed_at is not None else None,
        "createdBy": deploy.user_id[:15],
        "createdByName": deploy.user_name,
        "createdDate": instant(deploy.created_at),
        "details": _details(deploy) if details and deploy.done else None,
        "done": deploy.done,
        "errorMessage": deploy.error or None,
        "errorStatusCode": "UNKNOWN_EXCEPTION" if deploy.error else None,
        "id": deploy.id,
        "ignoreWarnings": deploy.options.ignore_warnings,
        "lastModifiedDate": instant(deploy.completed_at or deploy.created_at),
        "numberComponentErrors": len(deploy.failures),
        "numberComponentsDeployed": len(deploy.successes) if deploy.done else 0,
        "numberComponentsTotal": len(deploy.outcomes),
        "numberTestErrors": 0,
        "numberTestsCompleted": 0,
        "numberTestsTotal": 0,
        "rollbackOnError": deploy.options.rollback_on_error,
        "runTestsEnabled": False,
        "startDate": instant(deploy.started_at) if deploy.started_at is not None else None,
        "status": deploy.status,
        "success": deploy.status == "Succeeded",
    }
    return {key: one for key, one in made.items() if one is not None}


def _details(deploy: Deploy) -> dict[str, Any]:
    manifest = Outcome("", "package.xml", "package.xml", changed=True)
    good = [manifest, *deploy.successes] if not deploy.error else []
    return {
        "componentFailures": [_message(one, deploy) for one in deploy.failures],
        "componentSuccesses": [_message(one, deploy) for one in good],
        "runTestResult": {"numFailures": 0, "numTestsRun": 0, "totalTime": 0.0},
    }


def _message(one: Outcome, deploy: Deploy) -> dict[str, Any]:
    made: dict[str, Any] = {
        "changed": one.changed and not one.problem,
        "componentType": one.type,
        "created": one.created and not one.problem,
        "createdDate": instant(deploy.completed_at or deploy.created_at),
        "deleted": one.deleted and not one.problem,
        "fileName": one.file_name,
        "fullName": one.full_name,
        "id": one.id or None,
        "problem": one.problem or one.warning or None,
        "problemType": "Error" if one.problem else "Warning" if one.warning else None,
        "success": not one.problem,
        "warning": bool(one.warning),
    }
    return {key: value for key, value in made.items() if value is not None}
