"""A registry that answers errors with what a terminal would obey: hostile_registry.py PORT"""
import http.server
import json
import sys

MESSAGE = "no \x1b]52;c;eA==\x07 \x9b2J \u202e such\r\nerror: fake " + "x" * 20_000


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = 200, b"{}"
        if self.path.startswith("/v2/raw"):
            status, body = 500, MESSAGE.encode()
        elif self.path != "/v2/":
            errors = [{"code": "DENIED\x1b[2J", "message": MESSAGE, "detail": "\x1b]0;x\x07"}]
            status, body = 400, json.dumps({"errors": errors}, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
