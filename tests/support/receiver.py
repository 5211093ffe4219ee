"""A server that writes down what it is sent:  receiver.py PORT FOLDER

FOLDER/answer says how it answers: a status, or `hang`. FOLDER/requests gets a JSON line for each."""
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
        self.send_response(int(answer))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
