"""From a push, a webhook or an edit to the new container, on a host with fifty stacks."""
import hashlib
import hmac
import http.client
import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import time

from lab import HERE, MIRROR, tell, timed

STACKS = 50
SECRET = "keel-bench-secret"
HOOK = "http://127.0.0.1:9000/hooks/home"
SOURCE = """sources:
  home:
    git: http://127.0.0.1:8418/stacks.git
    path: [stacks/*]
    poll: 1h
    webhook: {{ type: github, secret-file: {secret} }}
listen: {{ webhooks: "127.0.0.1:9000" }}
"""
# Only how long the next round waits for the end of this one.
SETTLE = "policy: { settle: 1s }\n"


# What begins is looked at often, what runs seldom: fifty stacks at ten looks a second would be all
# that is measured. docker-compose 1.29 knows no other pace for the beginning, so its few have one.
PACE = "interval: 10s, start_period: 30s, start_interval: 100ms"
QUICK = "interval: 100ms"


def stack(version, pace=PACE):
    """It ends at once when told to, and is healthy as soon as somebody looks, under every engine."""
    return f"""version: "3.7"
services:
  app:
    image: busybox:1
    command: sh -c 'trap exit TERM; touch /ready; sleep 1000000 & wait'
    environment: {{ VERSION: '{version}' }}
    healthcheck: {{ test: [CMD, test, -e, /ready], {pace} }}
"""


class Pushes:
    """A Git server on this host, and a work tree with fifty stacks to push from."""

    def __init__(self, lab):
        self.lab, self.tree = lab, lab.folder / "many"
        bare = lab.folder / "git/stacks.git"
        if bare.exists():
            shutil.rmtree(bare)
        lab.must("git", "init", "-q", "--bare", "-b", "main", bare)
        subprocess.run(["git", "clone", "-q", bare, self.tree], check=True, capture_output=True)
        for number in range(STACKS):
            self.write(number, "first")
        self.push()
        if not self.answers():
            lab.start("python3", HERE.parent / "tests/support/git_http.py", 8418, lab.folder / "git")
            lab.until(self.answers)

    def answers(self):
        return self.lab.ok("curl", "-sf", "http://127.0.0.1:8418/stacks.git/info/refs?service=git-upload-pack")

    def write(self, number, version, pace=PACE):
        file = self.tree / f"stacks/s{number}/compose.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(stack(version, pace))

    def push(self):
        git = ["git", "-C", self.tree, "-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        for words in (["add", "-A"], ["commit", "-qm", "x"], ["push", "-q", "origin", "HEAD:main"]):
            subprocess.run([*git, *words], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
        return head.stdout.strip()


def deliver(lab):
    """What GitHub sends after a push."""
    body = '{"ref":"refs/heads/main"}'
    mac = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
    headers = [f"X-Hub-Signature-256: sha256={mac}", "X-GitHub-Event: push"]
    lab.call("curl", "-sf", "-d", body, *(word for one in headers for word in ("-H", one)), HOOK)


def serve(lab):
    """`keel serve` for the fifty, until all are healthy and nothing is left to do."""
    secret = lab.write("hook-secret", SECRET + "\n")
    secret.chmod(0o600)
    lab.write("keel.yaml", SOURCE.format(secret=secret) + SETTLE + MIRROR)
    server = lab.start(lab.keel_file, "serve")
    settled(lab)
    return server


def end(lab, server, letter):
    """Nothing of the fifty is left, also of what is remembered."""
    server.send_signal(2)
    server.wait()
    for number in range(STACKS):
        lab.keel("down", f"{letter}{number}")


def settled(lab):
    def all_well():
        rows = json.loads(lab.keel("status", "--format", "json", check=False) or "[]")
        well = [row for row in rows if row["health"] == "Healthy" and row["operation"]["state"] == "succeeded"]
        return len(rows) == len(well) == STACKS

    if not lab.until(all_well, seconds=300, pause=0.5):
        raise SystemExit("the stacks never got healthy")


def healthy(lab, version):
    """Whether a container of this version is healthy: what its shim has noted, and the kernel."""
    for state in (lab.folder / "root/tasks").glob("*/state"):
        try:
            noted = json.loads(state.read_text())
            if noted.get("health") != "healthy":
                continue
            environment = pathlib.Path(f"/proc/{noted['process']['pid']}/environ").read_bytes()
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if f"VERSION={version}".encode() in environment.split(b"\0"):
            return True
    return False


def until_healthy(lab, version):
    began = time.monotonic()
    if not lab.until(lambda: healthy(lab, version), pause=0.004):
        raise SystemExit(f"version {version} never got healthy")
    return (time.monotonic() - began) * 1000


def spread(name, times, more=""):
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))]
    tell(name, times, f"  p95 {p95:.0f} ms{more}")


def records(lab):
    """Every record but the source's own: which file it is, and so whether it was written anew."""
    folder = lab.folder / "root/records"
    return {path: path.stat().st_ino for path in folder.glob("[!s]*/*.json")} | {
        path: path.stat().st_ino for path in folder.glob("stacks/*/*.json")
    }


def hook(lab, rounds):
    """webhook → new container healthy, image present, at 50 stacks; a hook that runs docker-compose up -d"""
    pushes = Pushes(lab)
    server = serve(lab)
    took, rounds = [], max(rounds, 30)
    for turn in range(rounds):
        version = f"hook{turn}"
        pushes.write(turn % STACKS, version)
        pushes.push()
        began = time.monotonic()
        deliver(lab)
        until_healthy(lab, version)
        took.append((time.monotonic() - began) * 1000)
        settled_one(lab, f"s{turn % STACKS}")
    spread("keel, by its webhook", took)
    stages = [row["stages"] for row in json.loads(lab.keel("history", "--format", "json"))[-rounds:]]
    medians = {
        name: statistics.median(found)
        for name in ("fetch", "load", "plan", "start")
        if (found := [one[name] for one in stages if one.get(name) is not None])
    }
    print("    of it " + ", ".join(f"{name} {took:.0f} ms" for name, took in medians.items()), flush=True)
    noop(lab, rounds, pushes)
    end(lab, server, "s")
    with_compose(lab, min(rounds, 7), pushes)


def settled_one(lab, name):
    def well():
        row = json.loads(lab.keel("status", name, "--format", "json"))[0]
        return row["operation"]["state"] == "succeeded"

    lab.until(well, pause=0.1)


def noop(lab, rounds, pushes):
    """A push that means nothing: until the source is at it, and what it touched."""
    settled(lab)
    before, entries = records(lab), lab.keel("history", "--format", "json")
    tasks, took = lab.keel("ps", "-a", "--format", "json"), []
    for turn in range(rounds):
        (pushes.tree / "README.md").write_text(f"{turn}\n")
        commit = pushes.push()
        record = lab.folder / "root/records/sources/home.json"
        began = time.monotonic()
        deliver(lab)
        lab.until(lambda: f'"revision": "{commit}"' in record.read_text(), pause=0.002)
        took.append((time.monotonic() - began) * 1000)
    ids = lambda text: sorted((row["id"], row["pid"]) for row in json.loads(text))
    containers = len(set(ids(lab.keel("ps", "-a", "--format", "json"))) ^ set(ids(tasks)))
    written = len(set(records(lab).items()) ^ set(before.items()))
    passes = int(lab.keel("history", "--format", "json") != entries)
    spread(
        "keel, a push that means nothing",
        took,
        f"  touched: {containers} containers, {written} records, {passes} histories",
    )


class Docker(http.client.HTTPConnection):
    """dockerd's own API: what a program of docker's costs is not measured."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def docker_healthy(lab, name, version):
    connection = Docker(lab.docker_socket)
    connection.request("GET", f"/containers/{name}/json")
    answer = connection.getresponse()
    found = json.loads(answer.read())
    if answer.status != 200:
        return False
    same = f"VERSION={version}" in found["Config"]["Env"]
    return same and found["State"].get("Health", {}).get("Status") == "healthy"


def with_compose(lab, rounds, pushes):
    """What a post-receive hook does: fetch, and `docker-compose up -d` of what it knows to have changed."""
    if not (shutil.which("docker-compose") and lab.with_docker()):
        return
    checkout = lab.folder / "checkout"
    lab.must("git", "clone", "-q", lab.folder / "git/stacks.git", checkout)
    script = lab.write(
        "hook.sh",
        f"cd {checkout} && git pull -q && cd stacks/$1 && exec docker-compose -H unix://{lab.docker_socket} up -d\n",
    )
    # As many as are pushed to: the rest would cost minutes, and docker-compose looks at one project alone.
    for number in range(rounds):
        pushes.write(number, "first", QUICK)
    pushes.push()
    for number in range(rounds):
        lab.call("sh", script, f"s{number}")
    took = []
    for turn in range(rounds):
        version = f"compose{turn}"
        pushes.write(turn, version, QUICK)
        pushes.push()
        began = time.monotonic()
        lab.call("sh", script, f"s{turn}")
        lab.until(lambda: docker_healthy(lab, f"s{turn}_app_1", version), pause=0.004)
        took.append((time.monotonic() - began) * 1000)
    spread("git pull, docker-compose up -d", took)
    nothing = [timed(lambda: lab.call("sh", script, f"s{number}")) for number in range(rounds)]
    tell("the same, where nothing changed", nothing)
    left = lab.docker("ps", "-aq").split()
    lab.docker("rm", "-f", *left)


def edit(lab, rounds):
    """an edited file of a served folder with 50 stacks → new container healthy"""
    folder = lab.folder / "served"
    for number in range(STACKS):
        lab.write(f"served/e{number}/compose.yaml", stack("first"))
    lab.write("keel.yaml", SETTLE + MIRROR)
    server = lab.start(lab.keel_file, "serve", folder)
    settled(lab)
    took = []
    for turn in range(rounds):
        name, version = f"e{turn % STACKS}", f"edit{turn}"
        fresh = lab.write("fresh", stack(version))
        began = time.monotonic()
        fresh.rename(folder / name / "compose.yaml")
        until_healthy(lab, version)
        took.append((time.monotonic() - began) * 1000)
        settled_one(lab, name)
    spread("keel, by an edit", took)
    end(lab, server, "e")
