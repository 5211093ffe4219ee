"""A registry that does as its plan says:  hostile.py PLAN FOLDER ADDRESS:PORT...

PLAN is Python, with what is defined here. FOLDER/requests gets a JSON line for each request."""
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import socket
import sys
import tarfile
import threading

plan, folder, listeners = sys.argv[1], sys.argv[2], sys.argv[3:]
lock = threading.Lock()
answers = {}
ARCH = os.popen("dpkg --print-architecture").read().strip()
OCI = "application/vnd.oci.image."
MANIFEST, INDEX = OCI + "manifest.v1+json", OCI + "index.v1+json"
LINK, HARD, DIR, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE


def answer(path, status=200, body=b"", **headers):
    """What is said to a request for PATH, or for ADDRESS:PORT/PATH; BODY may be endless."""
    answers[path] = (status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dump(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def part(data, kind):
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def layer(*members):
    """An archive of (name, data), or of (name, kind, target)."""
    raw = io.BytesIO()
    tar = tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT)
    for name, *rest in members:
        member = tarfile.TarInfo(name)
        member.mode = 0o755
        data = b""
        if len(rest) == 1:
            data = rest[0]
            member.size = len(data)
        else:
            member.type, member.linkname = rest
        tar.addfile(member, io.BytesIO(data))
    tar.close()
    return raw.getvalue()


def document(name, data, kind=MANIFEST, tag="latest"):
    """A manifest under its tag and digest."""
    data = dump(data)
    for reference in (tag, digest(data)):
        answer(f"/v2/{name}/manifests/{reference}", body=data, Content_Type=kind)
    return part(data, kind)


@functools.cache
def squeezed(data):
    return gzip.compress(data)


def image(name, *layers, blobs=None, file=None, raw=None, tag="latest", **config):
    """An image of plain archives. BLOBS are sent in their place, FILE is added to its configuration,
    RAW is that whole; gives its manifest."""
    file = {"architecture": ARCH, "os": "linux", "config": config, **(file or {})}
    file.setdefault("rootfs", {"type": "layers", "diff_ids": [digest(plain) for plain in layers]})
    blobs = blobs or [squeezed(plain) for plain in layers]
    file = dump(raw or file)
    for data in [file, *blobs]:
        answer(f"/v2/{name}/blobs/{digest(data)}", body=data)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": part(file, OCI + "config.v1+json"),
        "layers": [part(blob, OCI + "layer.v1.tar+gzip") for blob in blobs],
    }
    document(name, manifest, tag=tag)
    return manifest


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        here = "%s:%s" % self.server.server_address[:2]
        line = {"at": here, "path": self.path, "login": self.headers.get("Authorization")}
        with lock, open(os.path.join(folder, "requests"), "a") as file:
            file.write(json.dumps(line) + "\n")
        path = self.path.split("?")[0]
        found = answers.get(here + path) or answers.get(path) or (404, b"{}", {})
        status, body, headers = found(self) if callable(found) else found
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        except OSError:
            pass

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Six(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def main():
    exec(compile(open(plan).read(), plan, "exec"), globals())
    for listener in listeners:
        address, port = listener.rsplit(":", 1)
        kind = Six if ":" in address else http.server.ThreadingHTTPServer
        server = kind((address.strip("[]"), int(port)), Registry)
        threading.Thread(target=server.serve_forever).start()
    open(os.path.join(folder, "ready"), "w").close()


main()
