"""What a controller's work costs by the number of its stacks: read from the kernel, not from the clock."""
import json
import os
import pathlib
import shutil
import signal

from lab import MIRROR

SOURCE = "sources:\n  home: {{ dir: {folder}, path: ['*'] }}\npolicy: {{ settle: 1s }}\n"
TICK = os.sysconf("SC_CLK_TCK")


class Cost:
    """Processor time in seconds and read calls of one process, so far."""

    def __init__(self, pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
        self.seconds = (int(fields[11]) + int(fields[12])) / TICK
        self.reads = int(io["syscr"])


class Meter:
    """What a process used since it was last asked."""

    def __init__(self, pid):
        self.pid, self.last = pid, Cost(pid)

    def tell(self, what):
        now = Cost(self.pid)
        print(f"  {what:32} {now.seconds - self.last.seconds:9.2f} s {now.reads - self.last.reads:9d} reads", flush=True)
        self.last = now


def write(folder, number, version="first"):
    file = folder / f"m{number}/compose.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "services:\n  app:\n    image: busybox:1\n    command: sleep 1000000\n    stop_signal: SIGKILL\n"
        f"    environment: {{ VERSION: '{version}' }}\n"
    )


def all_run(lab, count):
    rows = json.loads(lab.keel("status", "--format", "json", check=False) or "[]")
    return len(rows) == count and all(
        row["sync"] == "InSync" and row["operation"] and row["operation"]["state"] == "succeeded" for row in rows
    )


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024


def measure(lab, count):
    print(f"  {count} stacks of one service", flush=True)
    folder = lab.folder / "many-stacks"
    for number in range(count):
        write(folder, number)
    lab.write("keel.yaml", SOURCE.format(folder=folder) + MIRROR)
    server = lab.start(lab.keel_file, "serve")
    meter = Meter(server.pid)
    if not lab.until(lambda: all_run(lab, count), seconds=1200, pause=max(1, count / 50)):
        raise SystemExit("the stacks never ran")
    meter.tell("until all run, `status` included")
    for _ in range(3):
        lab.keel("sync")
        meter.tell("`sync`, nothing to do")
    write(folder, 3, "second")
    lab.keel("sync", "m3")
    meter.tell("one edit")
    lab.until(lambda: False, seconds=30)
    meter.tell("30 s of nothing")
    print(f"  {'memory of serve':32} {memory(server.pid):9.1f} MB PSS", flush=True)
    server.send_signal(signal.SIGINT)
    server.wait()
    shutil.rmtree(folder)
    for number in range(count):
        lab.keel("down", f"m{number}", check=False)


def many(lab, _rounds):
    """what 10 and 100 stacks cost `keel serve` in processor time and reads; KEEL_BENCH_STACKS=500 for more"""
    asked = os.environ.get("KEEL_BENCH_STACKS")
    for count in [int(asked)] if asked else [10, 100]:
        measure(lab, count)
