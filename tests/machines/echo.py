# SPDX-License-Identifier: GPL-3.0-or-later
"""echo.py ADDRESS PORT: answer each line with the same line, what load.py asks."""

from __future__ import annotations

import asyncio
import sys


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main():
    await (await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]), backlog=1000)).serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
