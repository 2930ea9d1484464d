"""Values that may not leave the org as they are: replaced by others of their kind, the same every time.

The same value gives the same mask, so that a second copy finds nothing to write and equal values stay equal. A mask
says nothing of the value: it is made with a key that stays with the journal.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cdc.errors import BadArgument

DIGITS: Final = 8


def mask(kind: str, text: str, key: bytes, length: int = 0) -> str | None:
    """A value of a described type in its masked form; None where its kind has none, or where it does not fit into
    `length` characters (0: there is room). A text that does not fit becomes as much of the mask's own letters."""
    digest = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    make = _KINDS.get(kind)
    made = make(digest) if make else None
    if made is None or not length or len(made) <= length:
        return made
    return digest[:length] if kind in ("string", "textarea") else None


def mask_key(folder: Path) -> bytes:
    """The key of this journal's masks, made at its first use. Errors: BadArgument where it cannot be kept."""
    path = folder / "mask.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
        return path.read_bytes()
    except OSError as error:
        raise BadArgument(
            f"the key of the masks cannot be kept: {error.strerror}",
            where=str(path),
            do="set restore.folder",
        ) from error


def _number(digest: str) -> str:
    return str(int(digest[:12], 16) % 10**DIGITS).zfill(DIGITS)


_KINDS: Final[dict[str, Callable[[str], str]]] = {
    "email": lambda d: f"masked.{d[:12]}@example.invalid",
    "phone": lambda d: f"+000{_number(d)}",
    "url": lambda d: f"https://{d[:12]}.example.invalid",
    "string": lambda d: f"masked {d[:12]}",
    "textarea": lambda d: f"masked {d[:12]}",
    "date": lambda d: f"19{int(d[:2], 16) % 70 + 10:02d}-01-01",
}
"""Picklists, numbers, booleans and references are emptied: a value of theirs would be somebody's."""
