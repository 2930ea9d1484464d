"""Asking a running journal by its HTTP API: what the verbs, and the demo, do."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from cdc.errors import (
    EXIT_DIFFERENCE,
    ActionFailed,
    BadArgument,
    CdcError,
    DifferenceFound,
    NotFound,
    RetryLater,
)
from cdc.serve.actions import Action
from cdc.serve.questions import ARROW, Question
from cdc.settings import Settings

ASK_TIMEOUT_S = 120.0
IS_RUNNING_TIMEOUT_S = 2.0
PROGRESS_LOOK_EVERY_S = 0.3


def is_running(settings: Settings) -> bool:
    """True when a process answers at `api.listen` as a journal does."""
    try:
        answer = _send(settings, "GET", "/healthz", timeout_s=IS_RUNNING_TIMEOUT_S)
        return answer.status in (200, 503) and b"status" in answer.read()
    except (OSError, HTTPException):
        return False


def follow(settings: Settings, path: str) -> Iterator[dict[str, Any]]:
    """Server-sent events of the running journal, one JSON object each, until interrupted."""
    answer = _send(settings, "GET", path, timeout_s=None)
    if answer.status != 200:
        raise _told(answer, settings)
    for line in answer:
        if line.startswith(b"data:"):
            yield json.loads(line[5:])


def post(settings: Settings, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the running journal to do something."""
    answer = _send(settings, "POST", path, body, timeout_s=ASK_TIMEOUT_S)
    if answer.status >= 300:
        raise _told(answer, settings)
    return dict(json.load(answer))


def act_running(
    settings: Settings,
    action: Action,
    given: Mapping[str, Any],
    show: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """An action of the running journal; a long one is followed to its end. Errors: those of the action.

    Ctrl-C asks a long one to stop after the batch in hand, and goes on following it.
    """
    path, body = action.address(given)
    answer = post(settings, path, body)
    name = answer.get("progress")
    while name is not None:
        try:
            work = get(settings, f"/api/v1/progress/{quote(name, safe='')}")
            show(work)
            if work["state"] != "working":
                return ended(work)
            time.sleep(PROGRESS_LOOK_EVERY_S)
        except KeyboardInterrupt:
            post(settings, f"/api/v1/restores/{quote(name, safe='')}/stop", {})
    return answer


def ended(work: Mapping[str, Any]) -> dict[str, Any]:
    """What a long action ended with. Errors: ActionFailed."""
    if work["state"] == "failed":
        raise ActionFailed(str(work["error"]))
    return dict(work["answer"])


def get(settings: Settings, path: str) -> dict[str, Any]:
    """One JSON object of the running journal."""
    answer = _send(settings, "GET", path, timeout_s=ASK_TIMEOUT_S)
    if answer.status >= 300:
        raise _told(answer, settings)
    return dict(json.load(answer))


def ask_running(
    settings: Settings, question: Question, given: Mapping[str, Any], timeout_s: float = ASK_TIMEOUT_S
) -> dict[str, Any]:
    """The answer as JSON values. Errors: those of the question; RetryLater when nobody answers."""
    path, query, body = question.address(given)
    target = path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
    try:
        answer = _send(settings, "POST" if body is not None else "GET", target, body, timeout_s=timeout_s)
        if answer.status != 200:
            raise _told(answer, settings)
        return dict(json.load(answer))
    except (OSError, HTTPException) as error:
        raise RetryLater(f"the journal's API did not answer: {error}", where=settings.api.listen) from error


def table_of_running(settings: Settings, question: Question, given: Mapping[str, Any]) -> pa.Table:
    """The answer as an Arrow table. Errors: those of the question; RetryLater when nobody answers."""
    path, query, body = question.address(given)
    target = path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
    method = "POST" if body is not None else "GET"
    try:
        answer = _send(settings, method, target, body, timeout_s=ASK_TIMEOUT_S, accept=ARROW)
        if answer.status != 200:
            raise _told(answer, settings)
        return pa.ipc.open_stream(answer.read()).read_all()
    except (OSError, HTTPException, pa.ArrowInvalid) as error:
        raise RetryLater(f"the journal's API did not answer: {error}", where=settings.api.listen) from error


def _send(
    settings: Settings,
    method: str,
    target: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_s: float | None,
    accept: str = "application/json",
) -> HTTPResponse:
    """One request, straight to the address: no proxy of the environment comes between."""
    host, _, port = settings.api.listen.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    headers = {"Accept": accept, "Connection": "close"}
    token = Path(settings.api.token_file)
    if token.exists():
        headers["Authorization"] = f"Bearer {token.read_text(encoding='utf-8').strip()}"
    payload = None
    if body is not None:
        payload = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    connection.request(method, target, body=payload, headers=headers)
    return connection.getresponse()


def _told(answer: HTTPResponse, settings: Settings) -> CdcError:
    """The API's problem document as the error it was."""
    exit_code = None
    try:
        document = json.load(answer)
        exit_code = document.get("exit_code")
        detail = str(document.get("detail") or document.get("title") or answer.reason)
    except ValueError:
        detail = answer.reason
    if answer.status in (401, 403):
        return BadArgument(
            f"the journal's API refused: {detail}", where=settings.api.token_file, do="see api.token_file"
        )
    if exit_code == EXIT_DIFFERENCE:
        return DifferenceFound(detail)
    kind: type[CdcError] = {400: BadArgument, 404: NotFound}.get(answer.status, RetryLater)
    return kind(detail)
