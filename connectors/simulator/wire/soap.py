"""The SOAP API, partner and enterprise flavour alike: what clients use beside REST.

login, logout, getUserInfo, getServerTimestamp, query, queryAll, queryMore, retrieve, create, update, upsert, delete,
undelete, merge, emptyRecycleBin, getDeleted, getUpdated, describeGlobal, describeSObject(s). Answers in the
namespace that was asked in. A fault is HTTP 500 with a code such as `sf:INVALID_SESSION_ID`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.merging import merge_changes
from connectors.simulator.model import Change, Op
from connectors.simulator.saving import Asked, Caller, Saved
from connectors.simulator.soql_conditions import datetime_ms
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.queries import Queries
from connectors.simulator.wire.sessions import Session
from connectors.simulator.wire.soap_xml import (
    Call,
    envelope,
    error_elements,
    fault,
    instant,
    local_name,
    parsed,
    record_xml,
    value_xml,
)
from connectors.simulator.wire.writing import asked as one_asked
from connectors.simulator.wire.writing import creation, deletion, entity_of_id, updating, upserting

IDS_MAX = 200


class Soap:
    """Handlers of one org's SOAP address. Queries share their locators with REST."""

    def __init__(self, wire: Wire, queries: Queries) -> None:
        self._wire = wire
        self._org = wire.org
        self._queries = queries
        self._calls: dict[str, Callable[[Call], str]] = {
            "login": self._login,
            "logout": self._logout,
            "getUserInfo": self._user_info,
            "getServerTimestamp": self._timestamp,
            "query": self._query,
            "queryAll": self._query_all,
            "queryMore": self._query_more,
            "retrieve": self._retrieve,
            "create": self._create,
            "update": self._update,
            "upsert": self._upsert,
            "delete": self._delete,
            "undelete": self._undelete,
            "merge": self._merge,
            "emptyRecycleBin": self._empty_bin,
            "getDeleted": self._deleted,
            "getUpdated": self._updated,
            "describeGlobal": self._describe_global,
            "describeSObject": self._describe,
            "describeSObjects": self._describe,
        }

    def routes(self) -> list[web.RouteDef]:
        """Where SOAP lives, with and without the org id that server URLs end with."""
        return [
            web.post("/services/Soap/{flavour:[uc]}/{version}", self.handle),
            web.post("/services/Soap/{flavour:[uc]}/{version}/", self.handle),
            web.post("/services/Soap/{flavour:[uc]}/{version}/{org_id}", self.handle),
        ]

    async def handle(self, request: web.Request) -> web.Response:
        """One call."""
        flavour = request.match_info["flavour"]
        try:
            call = parsed(await request.read(), flavour, request.match_info["version"])
            answer = self._answered(call)
        except OrgError as error:
            return _xml(fault(error), status=500)
        return _xml(answer)

    def _answered(self, call: Call) -> str:
        make = self._calls.get(call.name)
        if make is None:
            raise OrgError("INVALID_OPERATION", f"The operation {call.name} is not available.")
        if call.name != "login":
            session = self._wire.session(call.session_id, "/services/Soap")
            if session is None:
                raise OrgError(
                    "INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session"
                )
            call.session = session
            self._wire.count_call("/services/Soap")
        return envelope(call, make(call))

    # Who

    def _login(self, call: Call) -> str:
        username, password = call.text("username"), call.text("password")
        user = next((one for one in self._org.users if one["username"] == username), None)
        if user is None or not self._wire.app.password or password != self._wire.app.password:
            raise OrgError("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        call.session = self._wire.sessions.open(user["id"], self._wire.app.client_id)
        server = f"{self._wire.instance_url}/services/Soap/{call.flavour}/{call.version}/{self._org.org_id}"
        return (
            "<result>"
            f"<metadataServerUrl>{server.replace('/Soap/' + call.flavour, '/Soap/m')}</metadataServerUrl>"
            "<passwordExpired>false</passwordExpired><sandbox>false</sandbox>"
            f"<serverUrl>{server}</serverUrl><sessionId>{escape(call.session.access_token)}</sessionId>"
            f"<userId>{user['id']}</userId><userInfo>{self._user_xml(call.session)}</userInfo></result>"
        )

    def _logout(self, call: Call) -> str:
        self._wire.sessions.revoke(call.session_id)
        return ""

    def _user_info(self, call: Call) -> str:
        return f"<result>{self._user_xml(_session(call))}</result>"

    def _user_xml(self, session: Session) -> str:
        user = next(one for one in self._org.users if one["id"] == session.user_id)
        values = {  # in the order of the WSDL, by which some clients read them
            "accessibilityMode": False,
            "chatterExternal": False,
            "currencySymbol": "$",
            "orgAttachmentFileSizeLimit": 26_214_400,
            "orgDefaultCurrencyIsoCode": "USD",
            "orgDefaultCurrencyLocale": "en_US",
            "orgDisallowHtmlAttachments": False,
            "orgHasPersonAccounts": True,
            "organizationId": self._org.org_id,
            "organizationMultiCurrency": False,
            "organizationName": "Simulated",
            "profileId": "00eSm0000000001AAA",
            "roleId": None,
            "sessionSecondsValid": int(self._wire.sessions.lifetime_s),
            "userDefaultCurrencyIsoCode": None,
            "userEmail": user["username"],
            "userFullName": user["name"],
            "userId": user["id"],
            "userLanguage": "en_US",
            "userLocale": "en_GB",
            "userName": user["username"],
            "userTimeZone": "Europe/London",
            "userType": "Standard",
            "userUiSkin": "Theme3",
        }
        return "".join(value_xml(name, value) for name, value in values.items())

    def _timestamp(self, call: Call) -> str:
        return f"<result><timestamp>{instant(self._org.clock.now_ms())}</timestamp></result>"

    # Reading

    def _query(self, call: Call) -> str:
        return self._rows(call, include_deleted=False)

    def _query_all(self, call: Call) -> str:
        return self._rows(call, include_deleted=True)

    def _rows(self, call: Call, *, include_deleted: bool) -> str:
        user_id = _session(call).user_id
        page = self._queries.opened(
            call.text("queryString"), include_deleted=include_deleted, user_id=user_id
        )
        return _query_result(page)

    def _query_more(self, call: Call) -> str:
        return _query_result(self._queries.continued(call.text("queryLocator")))

    def _retrieve(self, call: Call) -> str:
        names = [name.strip() for name in call.text("fieldList").split(",") if name.strip()]
        entity = call.text("sObjectType")
        made = []
        for record_id in call.texts("ids"):
            try:
                row = self._org.row(entity, record_id, names, as_user=_session(call).user_id)
                made.append(record_xml("result", row))
            except OrgError:
                made.append('<result xsi:nil="true"/>')
        return "".join(made)

    def _deleted(self, call: Call) -> str:
        entity = self._org.entity(call.text("sObjectType"))
        start, end = self._stretch(call)
        found = sorted((at, one) for one, at in entity.records.deletions() if start <= at < end)
        rows = "".join(
            f"<deletedRecords><deletedDate>{instant(at)}</deletedDate><id>{one}</id></deletedRecords>"
            for at, one in found
        )
        earliest = instant(self._org.clock.now_ms() - 30 * DAY_MS)
        return (
            f"<result>{rows}<earliestDateAvailable>{earliest}</earliestDateAvailable>"
            f"<latestDateCovered>{instant(end)}</latestDateCovered></result>"
        )

    def _updated(self, call: Call) -> str:
        entity = self._org.entity(call.text("sObjectType"))
        start, end = self._stretch(call)
        rows = "".join(
            f"<ids>{one.id}</ids>"
            for one in entity.records
            if start <= one.system_modstamp < end and not one.deleted
        )
        return f"<result>{rows}<latestDateCovered>{instant(end)}</latestDateCovered></result>"

    def _stretch(self, call: Call) -> tuple[int, int]:
        try:
            start, end = datetime_ms(call.text("startDate")), datetime_ms(call.text("endDate"))
        except ValueError:
            raise OrgError("INVALID_REPLICATION_DATE", "startDate and endDate are date-times") from None
        if end <= start:
            raise OrgError("INVALID_REPLICATION_DATE", "startDate must precede endDate")
        return start, min(end, self._org.clock.now_ms())

    def _describe_global(self, call: Call) -> str:
        described = self._org.describe_global()
        rows = "".join(
            f"<sobjects>{''.join(value_xml(name, value) for name, value in one.items() if name != 'urls')}</sobjects>"
            for one in described["sobjects"]
        )
        return f"<result><encoding>UTF-8</encoding><maxBatchSize>200</maxBatchSize>{rows}</result>"

    def _describe(self, call: Call) -> str:
        made = []
        for name in call.texts("sObjectType"):
            described = self._org.describe(name, as_user=_session(call).user_id)
            described.pop("urls", None)
            made.append(f"<result>{''.join(value_xml(key, one) for key, one in described.items())}</result>")
        return "".join(made)

    # Writing

    def _create(self, call: Call) -> str:
        asked = [one_asked(creation, self._org, entity, body) for entity, body in call.records("sObjects")]
        return self._saved(call, asked)

    def _update(self, call: Call) -> str:
        asked = [
            one_asked(updating, self._org, entity, str(body.get("Id") or ""), body)
            for entity, body in call.records("sObjects")
        ]
        return self._saved(call, asked)

    def _upsert(self, call: Call) -> str:
        field = call.text("externalIDFieldName")
        asked = [
            one_asked(upserting, self._org, entity, field, str(body.get(field) or ""), body)
            for entity, body in call.records("sObjects")
        ]
        return self._saved(call, asked, created=True)

    def _delete(self, call: Call) -> str:
        asked = [one_asked(self._deletion, record_id) for record_id in call.texts("ids")]
        return self._saved(call, asked)

    def _undelete(self, call: Call) -> str:
        asked = [one_asked(self._undeletion, record_id) for record_id in call.texts("ids")]
        return self._saved(call, asked)

    def _deletion(self, record_id: str) -> Change:
        return deletion(self._org, entity_of_id(self._org, record_id), record_id)

    def _undeletion(self, record_id: str) -> Change:
        return Change(entity_of_id(self._org, record_id), Op.UNDELETE, with_suffix(record_id[:15]))

    def _empty_bin(self, call: Call) -> str:
        made = []
        for record_id in call.texts("ids"):
            records = self._org.entity(entity_of_id(self._org, record_id)).records
            record = records.get(with_suffix(record_id[:15]))
            if record is None or not record.deleted:
                error = OrgError("INVALID_ID_FIELD", "The record is not in the Recycle Bin")
                made.append(_result("result", Saved(record_id, error=error)))
                continue
            change = Change(entity_of_id(self._org, record.id), Op.HARD_DELETE, record.id)
            made += [_result("result", one) for one in self._org.saver.save([change], _caller(call))]
        return "".join(made)

    def _merge(self, call: Call) -> str:
        made = []
        for request in call.elements("request"):
            made.append(self._merged(call, request))
        return "".join(made)

    def _merged(self, call: Call, request: ElementTree.Element) -> str:
        masters = call.records("masterRecord", within=request)
        if len(masters) != 1:
            raise OrgError("MISSING_ARGUMENT", "A merge needs one masterRecord")
        [(entity, master)] = masters
        losers = [(one.text or "").strip() for one in request if local_name(one) == "recordToMergeIds"]
        master_id = str(master.pop("Id", ""))
        try:
            values = self._org.intake(entity).from_rest(master, creating=False)
            changes = merge_changes(self._org, entity, master_id, losers, values)
        except OrgError as error:
            return _result("result", Saved(master_id, error=error))
        session = _session(call)
        committed = self._org.commit(
            changes, user_id=session.user_id, origin=_caller(call).origin, client=call.client
        )
        moved = [one for one in committed.record_ids if one != master_id and one not in losers]
        ids = "".join(f"<mergedRecordIds>{one}</mergedRecordIds>" for one in losers)
        children = "".join(f"<updatedRelatedIds>{one}</updatedRelatedIds>" for one in moved)
        return f"<result><id>{master_id}</id>{ids}<success>true</success>{children}</result>"

    def _saved(self, call: Call, asked: Sequence[Asked], *, created: bool = False) -> str:
        if len(asked) > IDS_MAX:
            raise OrgError(
                "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {IDS_MAX} records"
            )
        results = self._org.saver.save(asked, _caller(call), all_or_none=call.all_or_none)
        return "".join(_result("result", one, created=created) for one in results)


def _caller(call: Call) -> Caller:
    """The caller with its headers; e-mail and assignment rules are off unless asked for, other than over REST."""
    return Caller(
        user_id=_session(call).user_id,
        origin=f"com/salesforce/api/soap/{call.version}",
        client=call.client,
        assigns=call.assigns,
        allows_duplicates=call.allows_duplicates,
    )


def _session(call: Call) -> Session:
    assert call.session is not None
    return call.session


def _result(name: str, saved: Saved, *, created: bool = False) -> str:
    record_id = f"<id>{escape(saved.record_id)}</id>" if saved.record_id else '<id xsi:nil="true"/>'
    made = f"<created>{str(saved.created).lower()}</created>" if created else ""
    if saved.error is not None:
        return f"<{name}>{made}<errors>{error_elements(saved.error)}</errors>{record_id}<success>false</success></{name}>"
    return f"<{name}>{made}{record_id}<success>true</success></{name}>"


def _query_result(page: dict[str, Any]) -> str:
    rows = "".join(record_xml("records", row) for row in page["records"])
    locator = str(page.get("nextRecordsUrl", "")).rpartition("/")[2]
    named = f"<queryLocator>{locator}</queryLocator>" if locator else '<queryLocator xsi:nil="true"/>'
    done = str(page["done"]).lower()
    return f'<result xsi:type="QueryResult"><done>{done}</done>{named}{rows}<size>{page["totalSize"]}</size></result>'


def _xml(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/xml", charset="utf-8")
