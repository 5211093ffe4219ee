"""A guestbook: POST a line to sign it, GET to read it. Entries live in redis."""
import http.server
import os
import socket
import sys


def ask(*words):
    """One command to redis, and its answer: text, number or list."""
    host, port = os.environ["DATABASE"].split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        connection.sendall(b"".join(parts))
        return answer(connection.makefile("rb"))


def answer(stream):
    kind, rest = stream.read(1), stream.readline().strip()
    if kind == b"*":
        return [answer(stream) for _ in range(int(rest))]
    if kind == b"$":
        data = stream.read(int(rest))
        stream.readline()
        return data.decode()
    return rest.decode()


class Guestbook(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.say("".join(entry + "\n" for entry in ask("LRANGE", "entries", "0", "-1")))

    def do_POST(self):
        length = min(int(self.headers.get("Content-Length") or 0), 1000)
        ask("RPUSH", "entries", self.rfile.read(length).decode(errors="replace").strip())
        self.say("thank you\n")

    def say(self, text):
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if sys.argv[1:] == ["check"]:
    with socket.create_connection(("127.0.0.1", 8000), timeout=2):
        sys.exit(0)
http.server.ThreadingHTTPServer(("", 8000), Guestbook).serve_forever()
