"""Who may do what: static bearer tokens, three roles, deny by default (reliability.md, "Security").

A tokens file has a line per token: the role and the SHA-256 of the token in hex. Without one the API listens
on the loopback range only and one admin token is generated, written to `api.token_file` with mode 0600.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from cdc.errors import SettingsError
from cdc.logs import Event, logger

TOKEN_BYTES = 32


class Role(IntEnum):
    """Each role may do what the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(slots=True)
class Tokens:
    """SHA-256 digests and their roles; the tokens themselves are not kept.

    Those of a file are read again when it changes, so that a token is taken back without a restart. A file that
    goes away or is wrong for a moment leaves the last ones good, and is said in the log.
    """

    digests: tuple[tuple[bytes, Role], ...]
    path: Path | None = None
    _seen: tuple[int, int, int] | None = None

    def reread(self) -> None:
        """What the file says now. Errors: SettingsError only where nothing was read before."""
        if self.path is None:
            return
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._seen = seen
            self.digests = tuple(_parse(self.path))
        except (OSError, SettingsError) as error:
            if not self.digests:
                raise
            if isinstance(error, SettingsError):
                logger().warning(Event.TOKENS_REFUSED, error=error.sentence())

    def role(self, authorization: str | None) -> Role | None:
        """The role of an `Authorization` header, or None. Every digest is compared, each in constant time."""
        self.reread()
        scheme = (authorization or "").partition(" ")[0]
        given = hashlib.sha256(token_of(authorization)).digest()
        found: Role | None = None
        for digest, role in self.digests:
            if hmac.compare_digest(digest, given):
                found = role
        return found if scheme.lower() == "bearer" else None


def token_of(authorization: str | None) -> bytes:
    """The token of an `Authorization` header, whatever bytes came."""
    return (authorization or "").partition(" ")[2].strip().encode("utf-8", "surrogateescape")


def load_tokens(tokens_file: str, token_file: str) -> Tokens:
    """Tokens of the file, or one generated admin token. Errors: SettingsError naming the line."""
    if tokens_file:
        made = Tokens(tuple(_parse(Path(tokens_file))), Path(tokens_file))
        made.reread()
        return made
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _write_private(Path(token_file), token)
    return Tokens(((hashlib.sha256(token.encode()).digest(), Role.ADMIN),))


def _parse(path: Path) -> list[tuple[bytes, Role]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(
            f"the tokens file cannot be read: {error.strerror}", where=str(path), do="set api.tokens_file"
        ) from error
    out: list[tuple[bytes, Role]] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            role, digest = Role[words[0].upper()], bytes.fromhex(words[1])
            if len(words) != 2 or len(digest) != 32:
                raise ValueError
        except (KeyError, ValueError, IndexError) as error:
            raise SettingsError(
                "a line of the tokens file is not a role and a sha256 in hex",
                where=f"{path}:{number}",
                do="write `viewer|operator|admin HEX`, for example from `printf %s TOKEN | sha256sum`",
            ) from error
        out.append((digest, role))
    if not out:
        raise SettingsError("the tokens file holds no token", where=str(path), do="add a line `admin HEX`")
    return out


def _write_private(path: Path, token: str) -> None:
    try:
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(token + "\n")
    except OSError as error:
        raise SettingsError(
            f"the API token cannot be written: {error.strerror}", where=str(path), do="set api.token_file"
        ) from error
