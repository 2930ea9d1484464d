"""The HTTP side of the org as one aiohttp application: OAuth, REST, Tooling, CometD, and the control API."""

from __future__ import annotations

from aiohttp import web

from connectors.simulator.wire import batches, composite, descriptions, oauth, records, search
from connectors.simulator.wire.accidents import accidental
from connectors.simulator.wire.answers import BODY_BYTES_MAX, WIRE, admitted, refusing, stamped
from connectors.simulator.wire.bulk_ingest import BulkIngest
from connectors.simulator.wire.bulk_one import BulkOne
from connectors.simulator.wire.bulk_query import BulkQueries
from connectors.simulator.wire.cometd import Cometd
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.control import Control
from connectors.simulator.wire.managed import ManagedSubscriptions
from connectors.simulator.wire.metadata import Metadata
from connectors.simulator.wire.queries import Queries
from connectors.simulator.wire.soap import Soap
from connectors.simulator.wire.tooling import Tooling


def http_application(wire: Wire, managed: ManagedSubscriptions, control: Control) -> web.Application:
    """Every route; the more special ones come first."""
    app = web.Application(
        middlewares=[accidental, stamped, refusing, admitted], client_max_size=BODY_BYTES_MAX
    )
    app[WIRE] = wire
    queries = Queries(wire)
    bulk_queries, bulk_ingest, bulk_one = BulkQueries(wire), BulkIngest(wire), BulkOne(wire)
    app.add_routes(
        [
            *oauth.routes(),
            *Cometd(wire).routes(),
            *Tooling(wire, managed).routes(),
            *batches.routes(),
            *composite.routes(),
            *search.routes(),
            *queries.routes(),
            *Soap(wire, queries).routes(),
            *Metadata(wire).routes(),
            *bulk_queries.routes(),
            *bulk_ingest.routes(),
            *bulk_one.routes(),
            *descriptions.routes(),
            *records.routes(),
            *control.routes(),
        ]
    )

    async def end_jobs(_: web.Application) -> None:
        await bulk_queries.jobs.close()
        await bulk_ingest.jobs.close()
        await bulk_one.close()

    app.on_cleanup.append(end_jobs)
    return app
