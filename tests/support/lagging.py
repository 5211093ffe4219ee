"""Carries connections to elsewhere; what comes back is late, the more so the longer FLAG exists:
lagging.py PORT HOST:PORT FLAG"""
import asyncio
import os
import sys

port, target, flag = int(sys.argv[1]), sys.argv[2].rsplit(":", 1), sys.argv[3]
MOST = 7.0
lag = 0.0


async def grow():
    global lag
    while True:
        await asyncio.sleep(0.1)
        lag = min(lag + 0.04, MOST) if os.path.exists(flag) else 0.0


async def straight(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def late(reader, writer):
    queue = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def deliver():
        while True:
            came, data = await queue.get()
            while loop.time() < came + lag:
                await asyncio.sleep(0.02)
            if not data:
                break
            writer.write(data)
        writer.close()

    delivering = asyncio.create_task(deliver())
    try:
        while data := await reader.read(65536):
            queue.put_nowait((loop.time(), data))
    except OSError:
        pass
    queue.put_nowait((loop.time(), b""))
    await delivering


async def carry(reader, writer):
    try:
        there, back = await asyncio.open_connection(target[0], int(target[1]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(straight(reader, back), late(there, writer))


async def main():
    growing = asyncio.create_task(grow())
    server = await asyncio.start_server(carry, "127.0.0.1", port)
    async with server:
        await asyncio.gather(server.serve_forever(), growing)


asyncio.run(main())
