"""What a controller's work costs by the number of its stacks: read from the kernel, not from the clock."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from lab import MIRROR

FOLDER = "sources:\n  home: {{ dir: {folder}, path: ['*'] }}\npolicy: {{ settle: 1s }}\n"
GIT = "sources:\n  home: {{ git: {folder}, path: ['*'], poll: 1h }}\npolicy: {{ settle: 1s }}\n"
TICK = os.sysconf("SC_CLK_TCK")
# What is counted with KEEL_BENCH_CALLS=1.
CALLS = "read,pread64,openat,openat2,newfstatat,statx,getdents64,write,fsync,renameat,rename,inotify_add_watch"


class Cost:
    """Processor time in seconds and read calls of one process, so far."""

    def __init__(self, pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
        self.seconds = (int(fields[11]) + int(fields[12])) / TICK
        self.reads = int(io["syscr"])


class Calls:
    """System calls of one process, counted by strace, which slows it down: off unless asked for."""

    def __init__(self, pid):
        self.pid, self.tracer = pid, None
        if os.environ.get("KEEL_BENCH_CALLS"):
            self.begin()

    def begin(self):
        self.file = tempfile.NamedTemporaryFile(prefix="keel-bench-calls-")
        words = ["strace", "-f", "-c", "-U", "name,calls", "-e", f"trace={CALLS}", "-o", self.file.name]
        self.tracer = subprocess.Popen([*words, "-p", str(self.pid)], stderr=subprocess.PIPE)
        self.tracer.stderr.readline()  # It says that it is attached.

    def take(self):
        if self.tracer is None:
            return ""
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.communicate()
        rows = (line.split() for line in pathlib.Path(self.file.name).read_text().splitlines())
        counts = {row[0]: row[1] for row in rows if len(row) == 2 and row[1].isdigit()}
        self.begin()
        return " ".join(f"{name} {count}" for name, count in counts.items() if name != "total")

    def end(self):
        if self.tracer is not None:
            self.tracer.send_signal(signal.SIGINT)
            self.tracer.communicate()


class Meter:
    """What a process used since it was last asked."""

    def __init__(self, pid):
        self.pid, self.last, self.calls = pid, Cost(pid), Calls(pid)
        self.since = time.monotonic()

    def tell(self, what, each_of=None):
        """`each_of`: the number of stacks among which it was spent."""
        now, took = Cost(self.pid), time.monotonic() - self.since
        used = f"{now.seconds - self.last.seconds:9.2f} s {now.reads - self.last.reads:9d} reads"
        each = f" ({(now.seconds - self.last.seconds) / each_of:.3f} s each)" if each_of else ""
        print(f"  {what:36} {used} {took:9.2f} s by the clock{each}", flush=True)
        calls = self.calls.take()
        if calls:
            print(f"    {calls}", flush=True)
        self.last, self.since = Cost(self.pid), time.monotonic()


class Folder:
    """a folder that is served"""

    config = FOLDER

    def __init__(self, lab, count):
        self.served = self.tree = lab.folder / "many-stacks"
        self.count = count

    def write(self, number, version="first"):
        file = self.tree / f"m{number}/compose.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            "services:\n  app:\n    image: busybox:1\n    command: sleep 1000000\n    stop_signal: SIGKILL\n"
            f"    environment: {{ VERSION: '{version}' }}\n" + self.network(number)
        )

    def network(self, number):
        """What is chosen without this has room for some two hundred networks."""
        if self.count <= 200:
            return ""
        subnet = f"10.{64 + number // 256}.{number % 256}.0/24"
        return f"networks: {{ default: {{ ipam: {{ config: [{{ subnet: {subnet} }}] }} }} }}\n"

    def publish(self):
        """What was written is what is served."""

    def remove(self):
        shutil.rmtree(self.tree)


class Git(Folder):
    """a repository"""

    config = GIT

    def __init__(self, lab, count):
        self.served, self.tree, self.count = lab.folder / "many.git", lab.folder / "many-tree", count
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.served], check=True)
        subprocess.run(["git", "clone", "-q", self.served, self.tree], check=True, capture_output=True)

    def publish(self):
        git = ["git", "-C", self.tree, "-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        for words in (["add", "-A"], ["commit", "-qm", "x"], ["push", "-q", "origin", "HEAD:main"]):
            subprocess.run([*git, *words], check=True)

    def remove(self):
        shutil.rmtree(self.served)
        shutil.rmtree(self.tree)


def all_run(lab, count):
    """By the records on disk, so that asking costs the controller nothing."""
    files = list((lab.folder / "root/records/stacks").glob("m*/operation.json"))
    return len(files) == count and all(has_settled(file) for file in files)


def has_settled(file, not_at=None):
    try:
        operation = json.loads(file.read_text().split("\n", 1)[1])
    except (OSError, ValueError, IndexError):
        return False
    return operation["state"] == "succeeded" and operation["revision"] != not_at


def revision(file):
    return json.loads(file.read_text().split("\n", 1)[1])["revision"]


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024


def measure(lab, count, kind):
    print(f"  {count} stacks of one service: {kind.__doc__}", flush=True)
    source = kind(lab, count)
    for number in range(count):
        source.write(number)
    source.publish()
    lab.write("keel.yaml", source.config.format(folder=source.served) + MIRROR)
    server = lab.start(lab.keel_file, "serve")
    meter = Meter(server.pid)
    if not lab.until(lambda: all_run(lab, count), seconds=2400, pause=max(0.2, count / 100)):
        raise SystemExit("the stacks never ran")
    meter.tell("until all run", each_of=count)
    lab.until(lambda: False, seconds=5)
    meter.tell("5 s after that")
    for _ in range(3):
        lab.keel("sync")
        meter.tell("`sync`, nothing to do")
    lab.keel("status")
    meter.tell("`status`")
    lab.until(lambda: False, seconds=4)  # What `sync` hinted has been passed over, and stamps are old.
    meter.tell("4 s after that")
    one_edit(lab, source, meter, 3, lambda: lab.keel("sync", "m3"))
    meter.tell("one edit, `sync` of its stack")
    if kind is Folder:
        one_edit(lab, source, meter, 4, lambda: None)
        meter.tell("one edit, noticed")
    lab.until(lambda: False, seconds=30)
    meter.tell("30 s of nothing")
    meter.calls.end()
    print(f"  {'memory of serve':36} {memory(server.pid):9.1f} MB PSS", flush=True)
    server.send_signal(signal.SIGINT)
    server.wait()
    source.remove()
    for number in range(count):
        lab.keel("down", f"m{number}", check=False)


def one_edit(lab, source, meter, number, tell):
    """Until it is recorded to have settled."""
    file = lab.folder / f"root/records/stacks/m{number}/operation.json"
    before = revision(file)
    source.write(number, "second")
    source.publish()
    tell()
    if not lab.until(lambda: has_settled(file, not_at=before)):
        raise SystemExit("the edit never came")


def many(lab, _rounds):
    """what 10, 100 and 500 stacks cost `keel serve` (KEEL_BENCH_STACKS=50, KEEL_BENCH_SOURCE=git, KEEL_BENCH_CALLS=1)"""
    counts = os.environ.get("KEEL_BENCH_STACKS", "10,100,500").split(",")
    kinds = os.environ.get("KEEL_BENCH_SOURCE", "folder,git").split(",")
    for count in map(int, counts):
        for kind in kinds:
            measure(lab, count, {"folder": Folder, "git": Git}[kind])
