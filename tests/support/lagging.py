"""Carries connections to elsewhere; what comes back is the later, the longer a connection has lasted while FLAG exists:
lagging.py PORT HOST:PORT FLAG"""
import asyncio
import os
import sys

port, target, flag = int(sys.argv[1]), sys.argv[2].rsplit(":", 1), sys.argv[3]
# Seconds, and seconds for each second: slow enough that nobody hears nothing for long.
MOST, GROWTH = 7.0, 0.25


class Lag:
    def __init__(self, loop):
        self.loop, self.since = loop, None

    def now(self):
        if not os.path.exists(flag):
            self.since = None
            return 0.0
        if self.since is None:
            self.since = self.loop.time()
        return min(MOST, GROWTH * (self.loop.time() - self.since))


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
    lag = Lag(loop)

    async def deliver():
        while True:
            came, data = await queue.get()
            while loop.time() < came + lag.now():
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
    server = await asyncio.start_server(carry, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


asyncio.run(main())
