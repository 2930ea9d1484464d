"""The application at its address: from the first listening to the last answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from cdc import __version__
from cdc.errors import PortTaken
from cdc.logs import Event, logger
from cdc.metrics import Metrics
from cdc.serve.app import Door, make_app

SHUTDOWN_TIMEOUT_S = 5.0
ANSWERING_TIMEOUT_S = 4.0
"""Before that one, so that whoever asked is still told."""


@dataclass(slots=True)
class Runner:
    """Serves the door at an address until closed. Errors: PortTaken."""

    door: Door
    listen: str
    _runner: web.AppRunner | None = None
    address: str = ""

    async def open(self) -> None:
        await self.serve(make_app(self.door))

    async def serve(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        host, _, port = self.listen.rpartition(":")
        site = web.TCPSite(self._runner, host.strip("[]"), int(port))
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortTaken(
                f"the address cannot be listened on: {error.strerror}",
                where=self.listen,
                do="stop what uses it, or set api.listen (metrics.listen for a role without API)",
            ) from error
        bound = self._runner.addresses[0]
        self.address = f"{bound[0]}:{bound[1]}"
        logger().info(Event.API_LISTENING, address=self.address)

    async def close(self) -> None:
        """What was asked is answered, if it can be in the time there is; what cannot is interrupted, and says so."""
        self.door.stopping.set()
        over = asyncio.get_running_loop().call_later(ANSWERING_TIMEOUT_S, self.door.asking.interrupt)
        if self._runner:
            await self._runner.cleanup()
        over.cancel()
        await self.door.asking.close()


def metrics_app(metrics: Metrics) -> web.Application:
    """Health and metrics alone, for a role that serves no API."""

    async def text(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def ok(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": __version__})

    app = web.Application()
    app.router.add_get("/metrics", text)
    app.router.add_get("/healthz", ok)
    app.router.add_get("/readyz", ok)
    return app
