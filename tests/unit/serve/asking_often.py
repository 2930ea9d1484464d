"""Many readers in a process of their own: `python -m tests.unit.serve.asking_often ADDRESS TOKEN READERS SECONDS`.

Each asks one question after the other, as an open page does. The last line says how many were answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import time

import aiohttp

PATHS = (
    "/api/v1/status",
    "/api/v1/rates?minutes=15",
    "/api/v1/incidents?state=open",
    "/api/v1/alerts?limit=20&decorated=false",
    "/api/v1/state/Account?limit=20",
    "/api/v1/history/Account/001000000000001AAA?limit=20",
)
LEFT_S = 10.0


async def ask_often(address: str, token: str, readers: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    answered: dict[int, int] = {}
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=readers)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:

        async def one(number: int) -> None:
            for path in itertools.islice(itertools.cycle(PATHS), number % len(PATHS), None):
                if time.monotonic() > until:
                    return
                async with session.get(f"http://{address}{path}") as answer:
                    await answer.read()
                    answered[answer.status] = answered.get(answer.status, 0) + 1

        print("asking", flush=True)
        with contextlib.suppress(TimeoutError):  # what is still being answered then is not waited for
            async with asyncio.timeout(seconds + LEFT_S):
                await asyncio.gather(*(one(number) for number in range(readers)))
    print(" ".join(f"{status}={count}" for status, count in sorted(answered.items())), flush=True)


if __name__ == "__main__":
    os.nice(15)  # readers sit on machines of their own
    asyncio.run(ask_often(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
