# aiohttp as a peer: `server PARAMETERS` or `client URL PARAMETERS`.

import asyncio
import json
import sys

from aiohttp import ClientSession, WSMsgType, web

mode, *url, parameters = sys.argv[1:]
parameters = json.loads(parameters)


async def obey(ws, command):
    word, _, rest = command.partition(" ")
    if word == "ping":
        await ws.ping(rest.encode())
    elif word == "close":
        code, _, reason = rest.partition(" ")
        await ws.close(code=int(code), message=reason.encode())


async def echo(ws):
    while True:
        message = await ws.receive()
        if message.type is WSMsgType.TEXT and message.data.startswith("peer: "):
            await obey(ws, message.data[6:])
        elif message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type is WSMsgType.PONG:
            await ws.send_str(f"pong {bytes(message.data).decode()}")
        elif message.type is WSMsgType.CLOSE:
            print(f"closed: {message.data} {message.extra}", flush=True)
            return
        elif message.type is WSMsgType.CLOSED:
            print(f"closed: {ws.close_code}", flush=True)
            return
        elif message.type is WSMsgType.ERROR:
            print(f"error: {message.data!r}", flush=True)
            return


# It shows pongs only to programs that answer pings themselves.
OPTIONS = {"autoping": False, "max_msg_size": 0}


async def answer(request):
    ws = web.WebSocketResponse(compress=parameters["deflate"], **OPTIONS)
    await ws.prepare(request)
    await echo(ws)
    return ws


async def client():
    compress = parameters.get("bits", 15) if parameters["deflate"] else 0
    async with ClientSession() as session:
        async with session.ws_connect(url[0], compress=compress, **OPTIONS) as ws:
            await echo(ws)


async def server():
    app = web.Application()
    app.add_routes([web.get("/", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"port: {runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(client() if mode == "client" else server())
