"""One log is one org: whose it is stands in it from its first recorder on, and every later login is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdc.capture.backoff import Backoff
from cdc.capture.writer import Control
from cdc.errors import LogUnavailable
from cdc.log.origin import ORIGIN_KEY, Origin
from cdc.logs import Event

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder


async def claim(recorder: Recorder, org_id: str) -> Origin:
    """Tell a log whose it is, or compare. `org_id` is that of the login. Errors: OtherOrg."""
    text = await _told(recorder)
    where = f"log of {recorder.options.org}"
    if text is None:
        origin = Origin.new(org_id)
    else:
        origin = Origin.of(text)
        origin.check_org(org_id, where)
        if origin.org_id or not org_id:
            return origin
        origin = Origin(org_id, origin.log_id)
    await recorder.put(Control((origin.to_record(),)))
    return origin


async def _told(recorder: Recorder) -> str | None:
    backoff = Backoff()
    while True:
        try:
            return await recorder.kept(ORIGIN_KEY)
        except LogUnavailable as error:
            recorder.troubles.note(error)
            recorder.org_logger.warning(Event.LOG_RETRY, step="origin", error=error.sentence())
            await recorder.clock.sleep(backoff.pause_s(error.retry_after_s))
