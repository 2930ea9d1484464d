"""Source of the set-up at a moment: components as files, from the journal or from a folder of source control."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cdc.answer.setup_files import Fields
from cdc.answer.setup_rows import Setup
from cdc.change.metadata import SOURCE_TYPES, Source, components
from cdc.change.setup_kinds import METADATA
from cdc.errors import BadArgument

FILE_BYTES_MAX = 64 * 1024 * 1024


def sources_of(setup: Setup) -> dict[str, Source]:
    """Every component whose source is known, by name."""
    made = {}
    for row in setup.of(METADATA).values():
        one = Source(
            row.get("Type") or "", row.get("FullName") or "", row.get("Source") or "", row.get("Meta") or ""
        )
        made[one.name] = one
    return made


def setup_of(sources: Iterable[Source]) -> Setup:
    """A set-up that is source alone, to compare with."""
    rows: dict[str, Fields] = {
        one.name: {
            "Type": one.type,
            "FullName": one.full_name,
            "Source": one.source,
            "Meta": one.meta or None,
        }
        for one in sources
    }
    return Setup({METADATA: rows})


def read_tree(folder: Path, types: Sequence[str] = tuple(SOURCE_TYPES)) -> dict[str, Source]:
    """The components of a source tree or an unpacked package, by name. Errors: BadArgument."""
    if not folder.is_dir():
        raise BadArgument(
            "there is no such folder", where=str(folder), do="name a source tree or a settings file"
        )
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > FILE_BYTES_MAX:
            continue
        try:
            files[inside.as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # no type known here has such files
    try:
        return components(files, types)
    except ValueError as error:
        raise BadArgument(str(error), where=str(folder), do="correct the file") from None
