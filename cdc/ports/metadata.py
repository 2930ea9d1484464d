"""What is asked of an org's Metadata API: lists of components, their files, deploys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cdc.ports.types import Millis

RETRIEVE_COMPONENTS_MAX: Final = 4_000
"""Of one retrieve: a package has at most 10,000 files, and many components have two."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A component as the org lists it. `modified_at` is the org's text of a time, "" where it says none."""

    type: str
    full_name: str
    file_name: str
    id: str = ""
    modified_at: str = ""
    modified_by: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The components of some types, and the org's time before they were listed. `types` are those the org knows."""

    components: tuple[Listed, ...]
    org_time: Millis
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Files of a retrieve by path in the package; bytes that are no text are left out and named in `problems`."""

    files: Mapping[str, str]
    problems: tuple[str, ...]
    org_time: Millis


@dataclass(frozen=True, slots=True)
class DeployMessage:
    """What became of one component of a deploy; `problem` is "" where it went well."""

    type: str
    full_name: str
    problem: str = ""
    changed: bool = False
    created: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class DeployStatus:
    """How far a deploy is. `error` is of the whole, not of a component."""

    id: str
    status: str
    done: bool
    success: bool
    check_only: bool
    messages: tuple[DeployMessage, ...]
    error: str
    org_time: Millis


class OrgMetadata(Protocol):
    """Errors: those of `Org`."""

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        ...

    async def listed(self, types: Sequence[str]) -> Listing:
        """All components of these types; a type that the org does not know has none."""
        ...

    async def retrieve(self, members: Mapping[str, Sequence[str]]) -> Retrieved:
        """Files of components by type and full name, waited for; in parts where the org does not give so much at once."""
        ...

    async def deploy(self, package: bytes, *, check_only: bool) -> str:
        """Begin a deploy that leaves the org as it was if anything fails; its id."""
        ...

    async def deploy_status(self, deploy_id: str) -> DeployStatus: ...

    async def deployed(self, deploy_id: str) -> DeployStatus:
        """Wait for a deploy's end."""
        ...
