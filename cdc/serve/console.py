"""The console's files: built from `cdc/console` by the set-up, served as they are. They hold no data.

Every page of the console is the same document; which one is shown the browser reads from the address. The
files need no token, and everything they show is asked for with one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

DIST = Path(__file__).parent.parent / "console" / "dist"

PAGES = "incidents|time|undo|setup|trust|sql"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, in no frame (reliability.md, "Security")."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

NOT_BUILT = (
    "The console is not built. Install Node.js 20 or newer with npm and run ./ops/setup, or "
    "`npm ci && npm run build` in cdc/console; then start again. The API is at /api/v1, its description at "
    "/api/v1/openapi.json, and every answer is in the command line as well.\n"
)

OPEN_RESOURCES = frozenset({"/", "/icon.svg", "/assets/{name}", "/{page}", "/{page}/{rest}"})
"""Canonical addresses that need no token."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(dist: Path = DIST) -> list[web.RouteDef]:
    """The console at `/`, its pages, and its files."""
    page = _page(dist)
    return [
        web.get("/", page),
        web.get(f"/{{page:{PAGES}}}", page),
        web.get(f"/{{page:{PAGES}}}/{{rest:.*}}", page),
        web.get("/assets/{name}", _file(dist / "assets", "public, max-age=31536000, immutable")),
        web.get("/icon.svg", _file(dist, "max-age=3600", "icon.svg")),
    ]


def is_built(dist: Path = DIST) -> bool:
    return (dist / "index.html").is_file()


def _page(dist: Path) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        if not is_built(dist):
            return web.Response(status=404, text=NOT_BUILT, headers=HEADERS)
        return _response(dist / "index.html", "no-cache")

    return handler


def _file(folder: Path, cache: str, only: str = "") -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        name = only or request.match_info["name"]
        found = _named(folder, name)
        if found is None:
            raise web.HTTPNotFound
        return _response(found, cache)

    return handler


def _named(folder: Path, name: str) -> Path | None:
    """The file of that name: one of those there, and never a path to elsewhere."""
    known = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    return known[name] if name in known and known[name].suffix in TYPES else None


def _response(path: Path, cache: str) -> web.Response:
    headers: dict[str, Any] = {**HEADERS, "Cache-Control": cache}
    return web.Response(
        body=path.read_bytes(), content_type=TYPES[path.suffix], charset="utf-8", headers=headers
    )
