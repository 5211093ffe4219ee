"""Connections that come to nothing: idle.py SOCKET COUNT TEXT. Prints `open` once all of them are."""
import resource
import socket
import sys

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
path, count, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode().decode("unicode_escape")
kept = []
for _ in range(count):
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    try:
        one.sendall(text.encode())
    except OSError:
        pass  # It was cut off already.
    kept.append(one)
print("open", flush=True)
sys.stdin.read()
