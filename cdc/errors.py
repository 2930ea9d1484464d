"""Every error a person or a caller can meet, grouped by what the catcher does.

    CdcError
      RetryLater          transient: back off with jitter, go on from the stored position
        SourceUnavailable, OrgUnavailable, LogUnavailable, AuthExpired
        SourceSilent           nothing comes, and nothing shows that nothing was to come
        DeliveryLimitReached   growing pauses, at most 15 minutes
      CursorExpired       one read begins again
      TooLarge            ask for less at once
      ChannelProblem      this channel only; the others go on
        ChannelStopped         permanent: say why, leave it
        PositionLost           expired or corrupted: open a lost stretch, resume at the oldest retained
      StopProcess         nothing here can go on safely
        Fenced, ActionFailed, JournalLocked, JournalTooNew, DiskFull, PortTaken, LogRefused, AuthRefused, OtherOrg
      TellUser            the request cannot be served as asked (exit code 2)
        SettingsError, BadArgument, NotFound
      Undecodable         one event's bytes: it goes to quarantine, the stream goes on
      AnswerIncomplete    exit code 3, with --strict only
      DifferenceFound     exit code 4: a verification found a difference

An error is one sentence with what happened, where, and what to do next. Foreign errors are translated in
one place per library, beside the code that calls it.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_DIFFERENCE = 4


class CdcError(Exception):
    """What happened, where (channel, position, entity, record, file), and what to do about it."""

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        self.what = what
        self.where = where
        self.do = do
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The one sentence shown to a person; no traceback goes with it."""
        text = self.what.rstrip(".")
        if self.where:
            text += f" ({self.where})"
        if self.do:
            text += f": {self.do.rstrip('.')}"
        return text + "."


class RetryLater(CdcError):
    """Transient: back off with jitter and continue from the stored position, never from the tip."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        do: str = "",
        retry_after_s: float | None = None,
        code: str = "",
    ) -> None:
        super().__init__(what, where=where, do=do)
        self.retry_after_s = retry_after_s
        self.code = code


class SourceUnavailable(RetryLater):
    """The event stream broke or the event service is away."""


class SourceSilent(SourceUnavailable):
    """A channel delivers nothing, and that cannot be told from a dead one."""


class OrgUnavailable(RetryLater):
    """A REST or Bulk call failed in a way that may pass."""


class AuthExpired(RetryLater):
    """The token is no longer good; a fresh one is fetched once for all waiters."""


class CursorExpired(CdcError):
    """A query's cursor is gone on the org's side; the read has to begin again."""


class LogUnavailable(RetryLater):
    """The log did not take or give records just now."""


class DeliveryLimitReached(RetryLater):
    """The org's 24-hour delivery allocation is used up."""


class TooLarge(CdcError):
    """The org does not give so much in one answer; parts of it may do."""


class ChannelProblem(CdcError):
    """Concerns one channel; the others go on."""

    def __init__(self, what: str, *, where: str = "", do: str = "", code: str = "") -> None:
        super().__init__(what, where=where, do=do)
        self.code = code


class ChannelStopped(ChannelProblem):
    """Permanent for this channel: unknown topic, no permission, a malformed request."""


class PositionLost(ChannelProblem):
    """The stored replay position is outside the retention or no longer means anything."""


class StopProcess(CdcError):
    """Going on could lose or double data, or is impossible."""


class Fenced(StopProcess):
    """Another instance owns this org's log."""


class AuthRefused(StopProcess):
    """The org refuses these credentials; trying again will not help."""


class OtherOrg(StopProcess):
    """The login is of another org than the one recorded here."""


class LogRefused(StopProcess):
    """The log refuses something it would have to allow: creating a topic, a transaction."""


class ActionFailed(StopProcess):
    """A long action ended badly; the sentence is its own."""

    def sentence(self) -> str:
        return self.what.rstrip(".") + "."


class JournalLocked(StopProcess):
    """Another process has the journal open."""


class JournalTooNew(StopProcess):
    """The journal was written by a newer version of this program."""


class DiskFull(StopProcess):
    """No room to write; nothing acknowledged is lost."""


class PortTaken(StopProcess):
    """An address to listen on is in use."""


class TellUser(CdcError):
    """The request cannot be served as it was asked."""

    exit_code = EXIT_USAGE


class SettingsError(TellUser):
    """A setting is missing, unknown or out of range."""


class BadArgument(TellUser):
    """An argument of a verb or an HTTP parameter cannot be used."""


class NotFound(TellUser):
    """The record, entity or alert asked for was never seen."""

    exit_code = EXIT_FAILED


class Undecodable(CdcError):
    """One event's bytes cannot be read; they are kept raw with this reason."""


class AnswerIncomplete(CdcError):
    """The answer crosses a hole or an unknown value, and --strict was given."""

    exit_code = EXIT_INCOMPLETE


class DifferenceFound(CdcError):
    """A verification found a difference."""

    exit_code = EXIT_DIFFERENCE
