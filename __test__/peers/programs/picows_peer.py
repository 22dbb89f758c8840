# picows as a peer: `server PARAMETERS` or `client URL PARAMETERS`. It echoes frame by
# frame, and so each fragment by itself.

import asyncio
import sys

from picows import WSListener, WSMsgType, ws_connect, ws_create_server

mode, *url, _ = sys.argv[1:]

MAX_FRAME_SIZE = 1 << 26


def send_fragments(transport, kind):
    transport.send(kind, b"one ", fin=False)
    transport.send(WSMsgType.CONTINUATION, b"two ", fin=False)
    transport.send(WSMsgType.CONTINUATION, b"three")


def obey(transport, command):
    word, _, rest = command.partition(" ")
    if word == "ping":
        transport.send_ping(rest.encode())
    elif word == "fragments":
        send_fragments(transport, WSMsgType.TEXT)
        send_fragments(transport, WSMsgType.BINARY)
    elif word == "close":
        code, _, reason = rest.partition(" ")
        transport.send_close(int(code), reason.encode())


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        payload = frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.CLOSE:
            code, reason = frame.get_close_code(), frame.get_close_message()
            print(f"closed: {int(code)} {bytes(reason or b'').decode()}", flush=True)
            if not transport.is_close_frame_sent:
                transport.send_close(code, reason)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PONG:
            transport.send(WSMsgType.TEXT, b"pong " + payload)
        elif frame.msg_type == WSMsgType.TEXT and payload.startswith(b"peer: "):
            obey(transport, payload[6:].decode())
        elif frame.msg_type != WSMsgType.PING:
            transport.send(frame.msg_type, payload, fin=frame.fin)


async def main():
    if mode == "client":
        transport, _ = await ws_connect(
            Echo, url[0], max_frame_size=MAX_FRAME_SIZE
        )
        await transport.wait_disconnected()
        return
    server = await ws_create_server(
        lambda request: Echo(), "127.0.0.1", 0, max_frame_size=MAX_FRAME_SIZE
    )
    print(f"port: {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
