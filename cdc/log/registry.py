"""A schema registry with Confluent's API: which id a schema has there, and so the five bytes before each body.

Subjects are `<topic>-<record full name>` (TopicRecordNameStrategy), since a topic also carries our own record
states. A subject made here gets the compatibility of the settings, by default NONE: Salesforce decides these
schemas, not we. One that is there already keeps its own. Ids never change, so each is asked for once.

A registry that is away holds back what has not been framed yet (LogUnavailable); one that refuses a schema as
incompatible must not stop the recording: that schema's bodies get the frame used without a registry, and the
refusal is told.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from cdc.avro.framing import confluent_prefix, frame_prefix
from cdc.errors import CdcError, LogRefused, LogUnavailable

TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 1024 * 1024
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
REFUSED = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


class SchemaRegistry:
    """Safe in several threads; calls block. `refused` is told of each schema the registry does not take."""

    def __init__(
        self,
        url: str,
        topic_prefix: str,
        *,
        compatibility: str = "NONE",
        refused: Callable[[CdcError], None] = lambda _: None,
    ) -> None:
        parts = urlsplit(url.rstrip("/"))
        host = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit((parts.scheme, host, parts.path, "", ""))
        self._headers = {"Content-Type": CONTENT_TYPE, "Accept": f"{CONTENT_TYPE}, application/json"}
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._topic_prefix = topic_prefix
        self._compatibility = compatibility
        self._refused = refused
        self._prefixes: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

    def prefix(self, topic: str, schema_json: str) -> bytes:
        """The bytes before each body of this schema in a topic (its short name). Errors: LogUnavailable."""
        key = (topic, schema_json)
        with self._lock:
            known = self._prefixes.get(key)
            if known is None:
                known = self._prefixes[key] = self._learnt(topic, schema_json)
            return known

    def _learnt(self, topic: str, schema_json: str) -> bytes:
        subject = f"{self._topic_prefix}.{topic}-{full_name(schema_json)}"
        path = quote(subject, safe="")
        try:
            is_new = self._call("GET", f"/subjects/{path}/versions") is None
            answer = self._call("POST", f"/subjects/{path}/versions", {"schema": schema_json})
            if is_new:  # not before: Apicurio knows no compatibility of a subject without a version
                self._call("PUT", f"/config/{path}", {"compatibility": self._compatibility})
        except LogRefused as error:
            self._refused(LogRefused(error.what, where=f"subject {subject}", do=error.do))
            return frame_prefix(schema_json)
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise LogUnavailable(
                "the schema registry gave no id", where=self._url, do="check schema_registry_url"
            )
        return confluent_prefix(answer["id"])

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; None for what is not there. Errors: LogUnavailable, LogRefused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the settings allow https, and http to this machine
            self._url + path, data, self._headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                return json.loads(response.read(ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND and method == "GET":
                return None
            said = error.read(500).decode("utf-8", "replace").strip()
            if error.code in REFUSED:
                raise LogRefused(
                    f"the schema registry refuses a schema, whose records are framed without it: {said}",
                    do="set the subject's compatibility to NONE: Salesforce decides its schemas",
                ) from None
            raise LogUnavailable(
                f"the schema registry answered HTTP {error.code}: {said}",
                where=self._url,
                do="check schema_registry_url and its rights; it is tried again by itself",
            ) from None
        except (OSError, ValueError) as error:
            raise LogUnavailable(
                f"the schema registry does not answer: {error}",
                where=self._url,
                do="check that it runs and can be reached; it is tried again by itself",
            ) from None


def full_name(schema_json: str) -> str:
    """`com.sforce.eventbus.AccountChangeEvent`."""
    schema = json.loads(schema_json)
    name, namespace = str(schema["name"]), str(schema.get("namespace") or "")
    return name if "." in name or not namespace else f"{namespace}.{name}"
