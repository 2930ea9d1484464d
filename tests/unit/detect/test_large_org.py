"""A large org's ordinary day says nothing, and what is kept of it stays within the bound."""

from __future__ import annotations

import os

from cdc.detect.detector import Detector
from cdc.roles.bench.day import ordinary_day

CHANGES = int(os.environ.get("CDC_TEST_DAY_CHANGES", "60000"))
STATE_BYTES_MAX = 32_000_000


def test_an_ordinary_day_of_3000_users_pages_nobody_and_its_state_is_small() -> None:
    detector = Detector("acme")
    said = [version for batch in ordinary_day(CHANGES) for version in detector.take(batch)]
    assert [v["title"] for v in said if v["severity"] == "page"] == []
    assert len(detector.state()) < STATE_BYTES_MAX
    assert detector.taken == CHANGES
