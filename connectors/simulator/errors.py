"""What the simulated org refuses, in Salesforce's own codes. The wire turns these into HTTP and gRPC answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class OrgError(Exception):
    """A REST error: `code` as in errorCode (MALFORMED_QUERY), the text, the HTTP status, the fields named.

    `more` is what such an error has beside these, `headers` those of its answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        fields: tuple[str, ...] = (),
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields
        self.more = more or {}
        self.headers = headers or {}
        super().__init__(f"{code}: {message}")


class BusError(Exception):
    """A Pub/Sub error: `code` is the suffix of the error-code trailer (protocol section 1.8)."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")
