"""Deploys of an org, those that run and those that ended, with what each says of itself.

States: Pending, InProgress, then Succeeded, SucceededPartial, Failed or Canceled. A deploy that was only validated
changes nothing and is listed all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import record_id as make_id
from connectors.simulator.metadata_deploy import Deployment, Outcome, unpacked

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

POD = "Sm00"
ENDED = frozenset({"Succeeded", "SucceededPartial", "Failed", "Canceled"})


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """As a caller gave them; the defaults are those of the API."""

    check_only: bool = False
    rollback_on_error: bool = True
    single_package: bool = False
    allow_missing_files: bool = False
    ignore_warnings: bool = False
    test_level: str = "NoTestRun"


@dataclass(slots=True)
class Deploy:
    """One deploy. Times are epoch milliseconds of org time."""

    id: str
    user_id: str
    user_name: str
    options: DeployOptions
    created_at: int
    status: str = "Pending"
    started_at: int | None = None
    completed_at: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    error: str = ""

    @property
    def done(self) -> bool:
        return self.status in ENDED

    @property
    def failures(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.problem]

    @property
    def successes(self) -> list[Outcome]:
        return [one for one in self.outcomes if not one.problem]

    def row(self) -> dict[str, Any]:
        """As the Tooling API's DeployRequest."""
        return {
            "Id": self.id,
            "Status": self.status,
            "CheckOnly": self.options.check_only,
            "RollbackOnError": self.options.rollback_on_error,
            "TestLevel": self.options.test_level,
            "Type": "Deploy",
            "NumberComponentsTotal": len(self.outcomes),
            "NumberComponentsDeployed": len(self.successes) if self.done else 0,
            "NumberComponentErrors": len(self.failures),
            "ErrorMessage": self.error or None,
            "StartDate": self.started_at,
            "CompletedDate": self.completed_at,
            "CreatedDate": self.created_at,
            "CreatedById": self.user_id,
            "LastModifiedDate": self.completed_at or self.created_at,
            "SystemModstamp": self.completed_at or self.created_at,
        }


class Deployments:
    """All of one org, in order."""

    def __init__(self, org: SimulatedOrg) -> None:
        self._org = org
        self._deploys: dict[str, Deploy] = {}
        self._contents: dict[str, bytes] = {}

    def all(self) -> list[Deploy]:
        """Every deploy there was."""
        return list(self._deploys.values())

    def find(self, deploy_id: str) -> Deploy:
        """One by its id of 15 or 18 characters. Raises INVALID_ID_FIELD."""
        for one in self._deploys.values():
            if one.id[:15] == deploy_id[:15]:
                return one
        raise OrgError("INVALID_ID_FIELD", f"invalid deployment id: {deploy_id}", status=404)

    def begin(self, content: bytes, options: DeployOptions, user_id: str) -> Deploy:
        """A deploy that waits for `run`."""
        user = next((one for one in self._org.users if one["id"] == user_id), {"name": ""})
        deploy = Deploy(
            make_id("0Af", POD, len(self._deploys) + 1),
            user_id,
            str(user["name"]),
            options,
            self._org.clock.now_ms(),
        )
        self._deploys[deploy.id] = deploy
        self._contents[deploy.id] = content
        return deploy

    def cancel(self, deploy: Deploy) -> None:
        """A deploy that has not begun does not happen."""
        if deploy.status == "Pending":
            deploy.status, deploy.completed_at = "Canceled", self._org.clock.now_ms()
            self._contents.pop(deploy.id, None)

    def run(self, deploy: Deploy) -> None:
        """Do what the package says."""
        content = self._contents.pop(deploy.id, None)
        if content is None:
            return
        options = deploy.options
        deploy.started_at = self._org.clock.now_ms()
        try:
            package = unpacked(content, single=options.single_package)
            made = Deployment(self._org, package, deploy.user_id)
            good = made.run(
                check_only=options.check_only,
                rollback_on_error=options.rollback_on_error,
                allow_missing=options.allow_missing_files,
            )
            deploy.outcomes = made.outcomes
            some = bool(deploy.successes) and not options.rollback_on_error
            deploy.status = "Succeeded" if good else "SucceededPartial" if some else "Failed"
        except ValueError as error:
            deploy.status, deploy.error = "Failed", str(error)
            deploy.outcomes = [Outcome("", "package.xml", "package.xml", problem=str(error))]
        deploy.completed_at = self._org.clock.now_ms()
