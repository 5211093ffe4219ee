"""A Git server with ill intent: hostile_git.py PORT, or `--ssh` as the command of an sshd. What it does is the
repository's name."""
import http.server
import itertools
import os
import re
import struct
import sys
import time
import zlib

COMMIT = "1" * 40
HEAD = b"001e# service=git-upload-pack\n0000"


def line(content):
    return b"%04x" % (len(content) + 4) + content


def band(number, content):
    return line(bytes([number]) + content)


def reference(name, capabilities=b""):
    return line(COMMIT.encode() + b" refs/heads/" + name + capabilities + b"\n")


FIRST = reference(b"main", b"\0side-band-64k ofs-delta agent=ill")
TOLD = HEAD + FIRST + b"0000"


def entry(kind, size):
    """How an object of a pack begins."""
    first, size = kind << 4 | size & 15, size >> 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    out.append(first)
    return bytes(out)


def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def endless_references():
    for block in itertools.count():
        yield b"".join(reference(b"%d-%d" % (block, at)) for at in range(1000))


def pack(count):
    return line(b"NAK\n") + band(1, b"PACK" + struct.pack(">II", 2, count))


def endless(piece):
    while True:
        yield piece


def drip():
    yield HEAD + b"fff0"
    while True:
        yield b"a"
        time.sleep(1)


def zeros(size):
    """A blob of zeros, a gigabyte for a megabyte."""
    packer = zlib.compressobj(9)
    yield band(1, entry(3, size))
    for _ in range(size >> 20):
        some = packer.compress(bytes(1 << 20))
        if some:
            yield from (band(1, some[at : at + 60_000]) for at in range(0, len(some), 60_000))


def delta_bomb():
    delta = number(1) + number(1 << 40) + b"\x01x"
    yield pack(1) + band(1, entry(7, len(delta)) + bytes(20) + zlib.compress(delta))


def begun():
    """Half of a pack, then the end."""
    yield pack(3)
    content = zlib.compress(b"x" * 100_000, 0)
    yield b"".join(band(1, part) for part in [entry(3, 100_000), content[:50_000]])


# What each tells as its references, and answers to the request for a pack.
DEEDS = {
    "advert": (lambda: itertools.chain([HEAD, FIRST], endless_references()), None),
    "drip": (drip, None),
    "gzip": (lambda: endless(zlib.compress(bytes(1 << 20))), None),
    "claims": (lambda: [TOLD], lambda: [pack(0xFFFFFFFF)]),
    "progress": (lambda: [TOLD], lambda: itertools.chain([line(b"NAK\n")], endless(band(2, b"." * 60_000)))),
    "naks": (lambda: [TOLD], lambda: endless(line(b"NAK\n") * 8_000)),
    "blob": (lambda: [TOLD], lambda: itertools.chain([pack(1)], zeros(10 << 30))),
    "delta": (lambda: [TOLD], delta_bomb),
    "begun": (lambda: [TOLD], begun),
}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self):
        # The request's body stays unread: the connection ends with the answer.
        self.close_connection = True
        name = self.path.split("/")[1].removesuffix(".git")
        told, packed = DEEDS[name]
        kind = "advertisement" if self.command == "GET" else "result"
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-" + kind)
        if name == "gzip":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "POST":
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            for piece in told() if self.command == "GET" else packed():
                self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    do_GET = do_POST = serve

    def log_message(self, *_):
        pass


def mutter():
    """Nothing of Git, but complaints without end, with a terminal's commands in them."""
    while True:
        os.write(2, b"\x1b]0;taken over\x07\x1b[31mkeel: all is well\n" * 1000)


def ssh():
    """The same over a login; the service is not named there."""
    deed = re.search("[a-z]+", os.environ["SSH_ORIGINAL_COMMAND"].removeprefix("git-upload-pack"))[0]
    if deed == "mute":
        # Until whoever waits has gone.
        while os.read(0, 65536):
            pass
        return
    if deed == "mutter":
        mutter()
    told, packed = DEEDS[deed]
    out = sys.stdout.buffer

    def say(pieces):
        for piece in pieces:
            out.write(piece.removeprefix(HEAD))
            out.flush()

    say(told())
    # The last word of what is wanted; nothing more comes from whoever has gone.
    while (word := os.read(0, 65536)) and b"done" not in word:
        pass
    if word:
        say(packed())


if sys.argv[1] == "--ssh":
    ssh()
    sys.exit()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
