"""The source of the org's metadata, read by retrieve: a record a component, with its files as fields.

States of a reading: listed (what there is, with a stamp each), then retrieved in packages (what is new, or has another
stamp, or may move without one), then compared by what the files say. Only what says something else is recorded; of
what is only stamped anew the memory is brought up to date. A component that is listed no more is recorded as gone.

A file too large for a record is kept in parts under its hash, once, whoever refers to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cdc.capture.setup_memory import SetupMemory, State, gone, scan_of
from cdc.change.metadata import SOURCE_TYPES, Source, components
from cdc.change.setup_kinds import METADATA, METADATA_FILE, METADATA_TYPE
from cdc.change.values import canonical_text
from cdc.logs import Event
from cdc.ports.metadata import RETRIEVE_COMPONENTS_MAX, Listed, OrgMetadata
from cdc.ports.types import Millis, Ordinal

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

WITHOUT_STAMP: Final = frozenset({"PermissionSet", "Profile", "CustomObject"})
"""Types whose stamp does not move with all that their files say: they are retrieved each time."""
TEXT_CHARS_MAX: Final = 200_000
"""Of a file within a record; a message of the log has a megabyte, and a character up to four bytes."""


@dataclass(slots=True)
class MetadataReader:
    """One reading. `_files` are hashes of large files known to be kept."""

    recorder: Recorder
    memory: SetupMemory
    org: OrgMetadata
    _files: dict[str, str] = field(default_factory=dict)

    async def read(self) -> int:
        """What is new, other or gone, into the log; how many components. Errors: those of the port."""
        recorder, memory = self.recorder, self.memory
        calls = self.org.calls
        after = recorder.last_ordinal()
        before, known = memory.before(METADATA), await memory.remembered(METADATA)
        is_first = not before.passed_to and not known
        listing = await self.org.listed(
            [one for one in recorder.options.metadata_types if one in SOURCE_TYPES]
        )
        recorder.org_clock.seen(listing.org_time)
        listed = {f"{one.type}:{one.full_name}": one for one in listing.components}
        wanted = [one for name, one in listed.items() if _may_differ(one, known.get(name))]
        read_to = listing.org_time
        fresh = {name: known[name] for name in listed if name in known}
        states: list[State] = []
        for members in _packages(wanted):
            found = await self._retrieved(members)
            for name, source in found.items():
                one = listed.get(name)
                if one is None or name not in {
                    f"{kind}:{full}" for kind in members for full in members[kind]
                }:
                    continue
                said = f"{_stamp_of(one)} {source.digest}"
                if known.get(name, "").rpartition(" ")[2] != source.digest:
                    moved = name not in known or not known[name].startswith(f"{_stamp_of(one)} ")
                    states += await self._states(
                        source, one, after, read_to, is_first, moved, before.passed_to
                    )
                fresh[name] = said
        states += [
            (name, gone(METADATA, name, after, before.passed_to, read_to))
            for name in known
            if name not in listed
        ]
        memory.spent(METADATA, self.org.calls - calls)
        await memory.write(METADATA, states, known, fresh, memory.position(METADATA, before, read_to))
        await self._keep_types(listing.types, after, read_to)
        await self._keep_files()  # behind the parts themselves: after a kill in between they come again
        return len(states)

    async def _retrieved(self, members: Mapping[str, Sequence[str]]) -> dict[str, Source]:
        """Components of one package. A file that cannot be read is told of, and does not stand in the way of others."""
        answer = await self.org.retrieve(members)
        for problem in answer.problems:
            self._problem(problem)
        return components(answer.files, members, self._problem)

    def _problem(self, problem: str) -> None:
        self.recorder.org_logger.warning(Event.POLL_FAILED, entity=METADATA, error=problem)

    async def _states(
        self,
        source: Source,
        listed: Listed,
        after: Ordinal,
        read_to: Millis,
        is_first: bool,
        is_stamped_anew: bool,
        since: Millis,
    ) -> list[State]:
        files = await self.memory.remembered(METADATA_FILE)
        states: list[State] = []
        values: dict[str, str | None] = {"Type": source.type, "FullName": source.full_name}
        for name, text in (("Source", source.source), ("Meta", source.meta)):
            values[name], parts = _kept(text)
            for record_id, part in parts:
                if record_id not in files and record_id not in self._files:
                    self._files[record_id] = "kept"
                    states.append(
                        (record_id, _state(METADATA_FILE, record_id, {"Part": part}, after, read_to))
                    )
        stamp = canonical_text(listed.modified_at, "datetime") if listed.modified_at else None
        values |= {"LastModifiedDate": stamp, "LastModifiedById": listed.modified_by or None}
        made = _state(METADATA, source.name, values, after, read_to, since)
        made["kind"] = "BASELINE" if is_first else "REREAD"
        if is_stamped_anew and stamp:
            moved_at = _millis(stamp)
            made["user_id"] = listed.modified_by or None
            made["system_modstamp"] = moved_at
            if not is_first and moved_at >= since:
                made["anchor_at"] = moved_at
        return [*states, (source.name, made)]

    async def _keep_types(self, types: Sequence[str], after: Ordinal, read_to: Millis) -> None:
        """From when on which types are read: behind their components, so that none is missing when it counts."""
        known = await self.memory.remembered(METADATA_TYPE)
        fresh = dict.fromkeys(types, "read")
        if fresh == known:
            return
        new = [one for one in fresh if one not in known]
        states = [(one, _state(METADATA_TYPE, one, {"Name": one}, after, read_to)) for one in new]
        states += [
            (one, gone(METADATA_TYPE, one, after, Millis(0), read_to)) for one in known if one not in fresh
        ]
        await self.memory.write(METADATA_TYPE, states, known, fresh, None)

    async def _keep_files(self) -> None:
        """Remembers which parts are kept. Their rows travel with those of the components."""
        if self._files:
            known = await self.memory.remembered(METADATA_FILE)
            await self.memory.write(METADATA_FILE, [], known, {**known, **self._files}, None)


def _may_differ(one: Listed, known: str | None) -> bool:
    return known is None or one.type in WITHOUT_STAMP or not known.startswith(f"{_stamp_of(one)} ")


def _stamp_of(one: Listed) -> str:
    """Of a flow the id says which version it is; a time alone may be that of an earlier one."""
    return f"{one.modified_at}|{one.id}"


def _packages(wanted: Sequence[Listed]) -> Iterator[dict[str, list[str]]]:
    """In packages the org gives at once; parts of one object stay near each other."""
    ordered = sorted(wanted, key=lambda one: (one.type, one.full_name))
    for at in range(0, len(ordered), RETRIEVE_COMPONENTS_MAX):
        members: dict[str, list[str]] = {}
        for one in ordered[at : at + RETRIEVE_COMPONENTS_MAX]:
            members.setdefault(one.type, []).append(one.full_name)
        yield members


def _kept(text: str) -> tuple[str | None, list[tuple[str, str]]]:
    """What the record says, and the parts of a text that is too large for it: `sha256:<hash>:<parts>`."""
    if not text:
        return None, []
    if len(text) <= TEXT_CHARS_MAX:
        return text, []
    digest = hashlib.sha256(text.encode()).hexdigest()
    parts = [text[at : at + TEXT_CHARS_MAX] for at in range(0, len(text), TEXT_CHARS_MAX)]
    return f"sha256:{digest}:{len(parts)}", [(f"{digest}/{n}", part) for n, part in enumerate(parts)]


def _state(
    kind: str,
    record_id: str,
    values: Mapping[str, str | None],
    after: Ordinal,
    read_to: Millis,
    since: int = 0,
) -> dict[str, Any]:
    return {
        "entity": kind,
        "record_id": record_id,
        "kind": "REREAD",
        "source": "setup",
        "scan_id": scan_of(METADATA, Millis(since), read_to),
        "after_ordinal": after,
        "read_to": read_to,
        "anchor_at": read_to,
        "system_modstamp": None,
        "user_id": None,
        "values": dict(values),
        "unknown": [],
    }


def _millis(text: str) -> Millis:
    return Millis(round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000))
