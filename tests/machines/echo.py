# SPDX-License-Identifier: GPL-3.0-or-later
"""echo.py ADDRESS PORT [LAST]: answer each line with the same line, what load.py asks; on all ports from PORT to LAST."""

from __future__ import annotations

import asyncio
import sys


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main():
    address, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[-1])
    servers = [await asyncio.start_server(serve, address, port, backlog=4096) for port in range(first, last + 1)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
