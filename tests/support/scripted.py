"""A server that answers as it is told, and writes down what it is asked:  scripted.py PORT FOLDER

FOLDER/rules is JSON: path -> {"status", "location", "type", "body"}; others get 404. FOLDER/requests gets
a JSON line for each."""
import http.server
import json
import os
import sys
import threading

port, folder = int(sys.argv[1]), sys.argv[2]
lock = threading.Lock()


class Scripted(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        line = {"method": self.command, "path": self.path, "headers": headers, "body": body.decode(errors="replace")}
        with lock, open(os.path.join(folder, "requests"), "a") as file:
            file.write(json.dumps(line) + "\n")
        with open(os.path.join(folder, "rules")) as file:
            rule = json.load(file).get(self.path.partition("?")[0], {"status": 404})
        content = rule.get("body", "").replace("{authorization}", headers.get("authorization", "")).encode()
        self.send_response(rule["status"])
        for name, key in (("Location", "location"), ("Content-Type", "type")):
            if key in rule:
                self.send_header(name, rule[key])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Scripted).serve_forever()
