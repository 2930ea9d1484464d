"""A zip from the org, opened with care: its names stay inside, its size is bounded before anything is unpacked."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from typing import Final

from cdc.errors import OrgUnavailable

FILES_MAX: Final = 12_000
"""The org gives 10,000 in one package."""
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
BYTES_MAX: Final = 400 * 1024 * 1024
"""Unpacked: what the org says it gives at most."""
TOP: Final = "unpackaged/"

_ENCRYPTED = 0x1


def unpacked(content: bytes, where: str) -> tuple[dict[str, str], list[str]]:
    """Text files by path below `unpackaged/`, and a sentence for each that is no text.

    Errors: OrgUnavailable for what is no zip, holds a path that leads out of it, a link, or more than it may.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return _texts(packed, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise OrgUnavailable(f"the org's package is no zip that can be read: {error}", where=where) from None


def _texts(packed: zipfile.ZipFile, where: str) -> tuple[dict[str, str], list[str]]:
    infos = [one for one in packed.infolist() if not one.is_dir()]
    if len(infos) > FILES_MAX:
        raise OrgUnavailable(f"the org's package has {len(infos):,} files", where=where, do=_LESS)
    if sum(one.file_size for one in infos) > BYTES_MAX:
        raise OrgUnavailable("the org's package is too large when unpacked", where=where, do=_LESS)
    files: dict[str, str] = {}
    problems: list[str] = []
    for info in infos:
        path = _checked(info, where)
        if path in files:
            raise OrgUnavailable(f"the org's package has {path} twice", where=where)
        if info.file_size > FILE_BYTES_MAX:
            problems.append(f"{path} has {info.file_size:,} bytes, more than are kept")
            continue
        with packed.open(info) as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        try:
            files[path] = raw.decode()
        except UnicodeDecodeError:
            problems.append(f"{path} is no text")
    return files, problems


_LESS = "read fewer types (poll.metadata)"


def _checked(info: zipfile.ZipInfo, where: str) -> str:
    name = info.filename
    parts = name.split("/")
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if (
        is_link
        or info.flag_bits & _ENCRYPTED
        or name.startswith("/")
        or "\\" in name
        or ":" in parts[0]
        or any(part in ("", ".", "..") for part in parts)
        or any(ord(char) < 32 for char in name)
    ):
        raise OrgUnavailable(f"the org's package holds a name that is not safe: {name!r:.120}", where=where)
    return name.removeprefix(TOP)
