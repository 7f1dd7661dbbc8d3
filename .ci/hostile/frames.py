"""Frames that no client should send, made with the PyPI packages `h2` and `hyperframe`.

Takes the gateway's address and the one of its metrics. Each case has a connection of its own, and must not be answered with
2xx, but for the one that does no harm; behind each, an honest request on another connection must be. In the end exactly
these are stored."""

import re
import socket
import struct
import sys
import urllib.parse
import urllib.request

import h2.config
import h2.connection
import h2.events
import h2.exceptions

PUBLIC, ADMIN = sys.argv[1:]
ADDRESS = urllib.parse.urlsplit(PUBLIC)
PATIENCE = 10
DATA, HEADERS, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


def head(*more, source="open", without=()):
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", f"/v1/webhook/{source}")]
    return [field for field in fields if field[0] not in without] + list(more)


def frame(kind, flags, stream, payload=b"", length=None):
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Client:
    """A connection on which anything may be sent."""

    def __init__(self):
        config = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
        )
        self.state = h2.connection.H2Connection(config=config)
        self.state.initiate_connection()
        self.socket = socket.create_connection((ADDRESS.hostname, ADDRESS.port), timeout=PATIENCE)
        self.flush()

    def flush(self):
        self.socket.sendall(self.state.data_to_send())

    def block(self, fields):
        """The fields, packed as they are."""
        return self.state.encoder.encode(fields)

    def raw(self, *frames):
        self.socket.sendall(b"".join(frames))

    def outcome(self, stream=1):
        """The status of the stream, or why there is none."""
        try:
            while received := self.socket.recv(65536):
                for event in self.state.receive_data(received):
                    if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                        return int(dict(event.headers)[b":status"])
                    if isinstance(event, h2.events.StreamReset) and event.stream_id == stream:
                        return f"reset {int(event.error_code)}"
                    if isinstance(event, h2.events.ConnectionTerminated) and event.error_code:
                        return f"goaway {int(event.error_code)}"
                self.flush()
            return "closed"
        except TimeoutError:
            return "silence"
        except ConnectionError:
            return "closed"
        except h2.exceptions.ProtocolError:
            # About a stream that this side has not opened by `h2`, because its frames were made by hand.
            return raw_outcome(received, stream)


def raw_outcome(received, stream):
    """The first frame about the stream, or about the connection."""
    while len(received) >= 9:
        length, kind = int.from_bytes(received[:3]), received[3]
        about, payload = int.from_bytes(received[5:9]) & 0x7FFFFFFF, received[9 : 9 + length]
        if kind == GOAWAY and int.from_bytes(payload[4:8]):
            return f"goaway {int.from_bytes(payload[4:8])}"
        if about == stream and kind == 3:
            return f"reset {int.from_bytes(payload[:4])}"
        if about == stream and kind == HEADERS:
            # Indexed 200 is the one status that matters here.
            return 200 if payload[:1] == b"\x88" else "no 200"
        received = received[9 + length :]
    return "closed"


def whole(fields, body=b"{}"):
    """A request of these fields and this body."""

    def send(client):
        block = client.block(fields)
        client.raw(frame(HEADERS, END_HEADERS, 1, block), frame(DATA, END_STREAM, 1, body))

    return send


def frames(*made):
    """Frames of which some need the client's compression."""

    def send(client):
        client.raw(*(one(client) if callable(one) else one for one in made))

    return send


def opened(fields, flags=END_HEADERS, stream=1):
    return lambda client: frame(HEADERS, flags, stream, client.block(fields))


SMUGGLED = b"POST /v1/webhook/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
OPEN = opened(head())
CASES = {
    # Lengths and framing that a proxy could take over into HTTP/1.
    "a length that is less than the body": whole(head(("content-length", "1"))),
    "a length that is more than the body": whole(head(("content-length", "3"))),
    "two lengths": whole(head(("content-length", "2"), ("content-length", "70")), SMUGGLED[:2]),
    "a length that is no number": whole(head(("content-length", "2, 2")), b"{}"),
    "a transfer coding": whole(head(("transfer-encoding", "chunked")), b"0\r\n\r\n" + SMUGGLED),
    "a connection field": whole(head(("connection", "close"))),
    "a line end in a value": whole(head(("x", "a\r\ntransfer-encoding: chunked"))),
    "a line end in a name": whole(head(("x: a\r\ny", "b"))),
    "a NUL in a value": whole(head(("x", "a\0b"))),
    "a name in upper case": whole(head(("X-Upper", "a"))),
    "a line end in the path": whole(head((":path", "/v1/webhook/open HTTP/1.1\r\nx: y"), without=[":path"])),
    "a space in the path": whole(head((":path", "/v1/webhook/open HTTP/1.1"), without=[":path"])),
    "a line end in the method": whole(head((":method", "POST /v1/webhook/smuggled HTTP/1.1\r\n"), without=[":method"])),
    # Pseudo fields.
    "no path": whole(head(without=[":path"])),
    "no method": whole(head(without=[":method"])),
    "no scheme": whole(head(without=[":scheme"])),
    "an empty path": whole(head((":path", ""), without=[":path"])),
    "a path twice": whole(head((":path", "/v1/webhook/smuggled"))),
    "a status": whole(head((":status", "200"))),
    "an unknown pseudo field": whole(head((":x", "y"))),
    "a pseudo field behind a field": whole([("x", "y"), *head()]),
    "a pseudo field in trailers": frames(OPEN, frame(DATA, 0, 1, b"{}"), opened(head(), END_HEADERS | END_STREAM)),
    "trailers that do not end the stream": frames(OPEN, frame(DATA, 0, 1, b"{}"), opened([("x", "y")])),
    "CONNECT to a source": whole([(":method", "CONNECT"), (":authority", "x")]),
    # Streams.
    "a request on an even stream": frames(opened(head(), stream=2)),
    "a request on stream 0": frames(opened(head(), stream=0)),
    "a stream before the last": frames(opened(head(), stream=5), opened(head(), stream=3), frame(DATA, END_STREAM, 3)),
    "data on a stream that was never opened": frames(frame(DATA, END_STREAM, 1, b"{}")),
    "data on stream 0": frames(frame(DATA, 0, 0, b"{}")),
    "data between the pieces of a head": frames(opened(head(), flags=0), frame(DATA, END_STREAM, 1, b"{}")),
    "a head of another stream between its pieces": frames(opened(head(), flags=0), opened(head(), stream=3)),
    "more of a head that is whole": frames(OPEN, frame(CONTINUATION, END_HEADERS, 1)),
    "a promise": frames(lambda client: frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + client.block(head()))),
    "a stream that waits for itself": frames(
        lambda client: frame(HEADERS, END_HEADERS | 0x20, 1, b"\0\0\0\1\0" + client.block(head()))
    ),
    # Frames that are wrong in themselves.
    "a frame that is too long": frames(OPEN, frame(DATA, END_STREAM, 1, b"x" * 16_385)),
    "padding that is longer than its frame": frames(OPEN, frame(DATA, PADDED | END_STREAM, 1, b"\xff{}")),
    "settings of a wrong length": frames(frame(SETTINGS, 0, 0, b"\0\3\0\0\0")),
    "settings of a stream": frames(frame(SETTINGS, 0, 1)),
    "an acknowledgement that holds settings": frames(frame(SETTINGS, 1, 0, b"\0\3\0\0\0\1")),
    "a window that is larger than any": frames(frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff")),
    "a frame size that is larger than any": frames(frame(SETTINGS, 0, 0, b"\0\5\xff\xff\xff\xff")),
    "windows that add up to too much": frames(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")),
    "a ping of a wrong length": frames(frame(PING, 0, 0, b"short")),
    "a reset of a stream that is idle": frames(frame(3, 0, 1, b"\0\0\0\0")),
    # Compression.
    "a field of the table that is not there": frames(frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\x7f")),
    "a table that is larger than agreed": frames(frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\xff\x07")),
    "a number without an end": frames(frame(HEADERS, END_HEADERS, 1, b"\x7f" + b"\x80" * 64)),
    "Huffman's code with an end of its own": frames(frame(HEADERS, END_HEADERS, 1, b"\0\x84\xff\xff\xff\xff\0")),
    # HTTP/1 in its place.
    "HTTP/1 behind the preface": frames(b"POST /v1/webhook/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
}
# The HTTP library lets these through without what is wrong with them: trailers are read by nobody, and are not stored.
HARMLESS = ["a pseudo field in trailers"]


def honest():
    client = Client()
    client.state.send_headers(1, head(("content-length", "2")))
    client.state.send_data(1, b"{}", end_stream=True)
    client.flush()
    return client.outcome()


def stored(source):
    with urllib.request.urlopen(ADMIN + "/metrics", timeout=PATIENCE) as answer:
        metrics = answer.read().decode()
    pattern = rf'^penstock_gateway_requests_total\{{(?=.*source="{source}").*outcome="(?:accepted|duplicate)".*\}} (\d+)'
    return sum(int(count) for count in re.findall(pattern, metrics, re.M))


def main():
    before, wrong = stored("open"), []
    for name, send in CASES.items():
        client = Client()
        try:
            send(client)
            outcome = client.outcome(5 if "before the last" in name else 1)
        except ConnectionError:
            outcome = "closed"
        print(f"{name:48} {outcome}")
        accepted = isinstance(outcome, int) and outcome < 300
        if outcome == "silence" or accepted != (name in HARMLESS):
            wrong.append(f"{name}: {outcome}")
        if (answer := honest()) != 200:
            wrong.append(f"an honest request behind {name}: {answer}")
    if (added := stored("open") - before) != (good := len(CASES) + len(HARMLESS)):
        wrong.append(f"{added} requests are stored, and {good} should be")
    if smuggled := stored("smuggled"):
        wrong.append(f"{smuggled} requests were smuggled")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(CASES)} cases, all but {HARMLESS} refused, and an honest request behind each")


main()
