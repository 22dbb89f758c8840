# libcurl as a peer: `client URL PARAMETERS`.

import json
import select
import sys

from curl_cffi import Curl, CurlError, CurlInfo, CurlOpt, CurlWsFlag

_, url, parameters = sys.argv[1:]
parameters = json.loads(parameters)

AGAIN = 81  # CURLE_AGAIN
# Of CURLOPT_WS_OPTIONS. The pongs of libcurl itself would wait for the next message that
# the program sends.
NO_AUTO_PONG = 2
OFFER_DEFLATE = 4  # in libcurl as curl_cffi builds it

curl = Curl()
curl.setopt(CurlOpt.URL, url.encode())
curl.setopt(CurlOpt.CONNECT_ONLY, 2)
offer = OFFER_DEFLATE if parameters["deflate"] else 0
curl.setopt(CurlOpt.WS_OPTIONS, NO_AUTO_PONG | offer)
curl.perform()
socket = curl.getinfo(CurlInfo.ACTIVESOCKET)


def receive():
    """Returns the flags and the payload of a message or of a control frame."""
    global partial
    while True:
        try:
            data, frame = curl.ws_recv()
        except CurlError as error:
            if error.code != AGAIN:
                raise
            select.select([socket], [], [])
            continue
        if frame.flags & (CurlWsFlag.PING | CurlWsFlag.PONG | CurlWsFlag.CLOSE):
            return frame.flags, data
        partial += data
        if frame.bytesleft == 0 and not frame.flags & CurlWsFlag.CONT:
            message, partial = partial, b""
            return frame.flags, message


partial = b""


def send(payload, flags):
    """Sends a frame, which may take several calls."""
    while True:
        try:
            sent = curl.ws_send(payload, flags)
        except CurlError as error:
            if error.code != AGAIN:
                raise
            select.select([], [socket], [])
            continue
        payload = payload[sent:]
        if not payload:
            return


def obey(command):
    word, _, rest = command.partition(" ")
    if word == "ping":
        send(rest.encode(), CurlWsFlag.PING)
    elif word == "fragments":
        for kind in CurlWsFlag.TEXT, CurlWsFlag.BINARY:
            send(b"one ", kind | CurlWsFlag.CONT)
            send(b"two ", kind | CurlWsFlag.CONT)
            send(b"three", kind)
    elif word == "close":
        code, _, reason = rest.partition(" ")
        send(int(code).to_bytes(2, "big") + reason.encode(), CurlWsFlag.CLOSE)
        return True
    return False


closing = False
while True:
    flags, data = receive()
    if flags & CurlWsFlag.CLOSE:
        code = int.from_bytes(data[:2], "big")
        print(f"closed: {code} {data[2:].decode()}", flush=True)
        if not closing:
            send(data, CurlWsFlag.CLOSE)
        break
    if flags & CurlWsFlag.PING:
        send(data, CurlWsFlag.PONG)
    elif flags & CurlWsFlag.PONG:
        send(b"pong " + data, CurlWsFlag.TEXT)
    elif flags & CurlWsFlag.TEXT and data.startswith(b"peer: "):
        closing = obey(data[6:].decode())
    elif flags & CurlWsFlag.TEXT:
        send(data, CurlWsFlag.TEXT)
    elif flags & CurlWsFlag.BINARY:
        send(data, CurlWsFlag.BINARY)
