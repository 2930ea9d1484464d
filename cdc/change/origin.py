"""Where a change came from, as the header's `changeOrigin` says it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

CLIENT_MARK = ";client="
API_PREFIX = "com/salesforce/api/"
ORIGINS_CACHED_MAX = 4096


class Origin(NamedTuple):
    """`origin` is the part before `;client=`, `client` what follows it, both as sent; empty when not said."""

    origin: str
    client: str

    @property
    def api(self) -> str:
        """`soap`, `rest`, `bulkapi`, `apex` …; empty for what came through no API (geocoding, gaps)."""
        return self._path()[0]

    @property
    def version(self) -> str:
        """The API version, `66.0`; empty when not said."""
        return self._path()[1]

    def _path(self) -> tuple[str, str]:
        if not self.origin.startswith(API_PREFIX):
            return "", ""
        api, _, version = self.origin.removeprefix(API_PREFIX).partition("/")
        return api, version.rstrip("/")


@lru_cache(maxsize=ORIGINS_CACHED_MAX)
def parse_origin(text: str) -> Origin:
    """`com/salesforce/api/soap/66.0;client=SfdcInternalAPI/` in its two parts."""
    origin, _, client = text.partition(CLIENT_MARK)
    return Origin(origin, client)
