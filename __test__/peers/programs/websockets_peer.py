# websockets as a peer: `server PARAMETERS` or `client URL PARAMETERS`.

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions import permessage_deflate

mode, *url, parameters = sys.argv[1:]
parameters = json.loads(parameters)


async def obey(ws, command):
    word, _, rest = command.partition(" ")
    if word == "ping":
        pong = await ws.ping(rest)
        await pong
        await ws.send(f"pong {rest}")
    elif word == "fragments":
        await ws.send(["one ", "two ", "three"])
        await ws.send([b"one ", b"two ", b"three"])
    elif word == "close":
        code, _, reason = rest.partition(" ")
        await ws.close(int(code), reason)


async def echo(ws):
    try:
        while True:
            message = await ws.recv()
            if isinstance(message, str) and message.startswith("peer: "):
                await obey(ws, message[6:])
            else:
                await ws.send(message)
    except ConnectionClosed:
        print(f"closed: {ws.close_code} {ws.close_reason}", flush=True)


def options(factory, any_client_window):
    if not parameters["deflate"]:
        return {"compression": None, "max_size": None}
    no_takeover = parameters.get("noTakeover", False)
    bits = parameters.get("bits")
    extension = factory(
        server_no_context_takeover=no_takeover,
        client_no_context_takeover=no_takeover,
        server_max_window_bits=bits,
        client_max_window_bits=bits or any_client_window,
    )
    return {"compression": None, "extensions": [extension], "max_size": None}


async def main():
    if mode == "client":
        offer = options(permessage_deflate.ClientPerMessageDeflateFactory, True)
        async with connect(url[0], proxy=None, **offer) as ws:
            await echo(ws)
        return
    answer = options(permessage_deflate.ServerPerMessageDeflateFactory, None)
    async with serve(echo, "127.0.0.1", 0, **answer) as server:
        print(f"port: {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
