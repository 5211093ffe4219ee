"""A pool of nodes, and Docker Swarm on the same ones: how long they take to join, to converge, and to replace a node."""
import json
import os
import pathlib
import statistics
import subprocess
import time

from lab import Lab
from machines import REGISTRY_AT, Site, key, remove_cgroups, running

NODES = int(os.environ.get("KEEL_BENCH_NODES", 5))
TASKS = int(os.environ.get("KEEL_BENCH_TASKS", 50))
# By the registry that has it, so that nobody asks Docker's, which cannot be reached from here.
IMAGE = f"{REGISTRY_AT}/library/busybox:1"
# Ends at once when told to.
WORK = "trap exit TERM; sleep 1000000 & wait"
# Until a daemon that holds its breath is given up.
PATIENCE = 300
# Seconds, so that what was done before is no longer counted: a node that has joined says what it is, a start settles.
REST = 10


class Pool:
    """What is the same for both."""

    def __init__(self, lab, turn):
        self.lab, self.mark = lab, f"works-{os.getpid()}-{self.kind}-{turn}"
        self.site = Site(lab, f"{self.kind}-{turn}", NODES)

    def __enter__(self):
        self.site.__enter__()
        try:
            self.prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.site.__exit__()
        for machine in self.site.machines:
            for cgroup in self.cgroups(machine):
                remove_cgroups(cgroup)

    def call(self, *words, **more):
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, **more)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr or done.stdout}")
        return done.stdout

    def awaits(self, condition, what):
        began = time.monotonic()
        if not Lab.until(condition, PATIENCE, 0.02):
            raise SystemExit(f"{self.kind}: no {what} after {PATIENCE} s; {self.last_words()}")
        return (time.monotonic() - began) * 1000

    def last_words(self):
        logs = [(machine.folder / "log").read_text().splitlines()[-2:] for machine in self.site.machines]
        return "; ".join(line for lines in logs for line in lines)

    def figures(self):
        took = {"join": self.joined()}
        time.sleep(REST)
        took["converge"] = self.converged()
        time.sleep(REST)
        memory = [sum(map(proportional, machine.daemons())) for machine in self.site.machines]
        took["memory of the first node"], took["memory of another"] = memory[0], statistics.median(memory[1:])
        took["replace a lost node"] = self.replaced()
        return took

    def joined(self):
        began = time.monotonic()
        self.join()
        self.awaits(lambda: self.ready() == NODES, "pool")
        return (time.monotonic() - began) * 1000

    def converged(self):
        began = time.monotonic()
        self.deploy()
        self.awaits(lambda: running(self.mark) == TASKS, f"{TASKS} tasks")
        return (time.monotonic() - began) * 1000

    def replaced(self):
        """From the moment in which a node's cable is cut and its power is off."""
        began = time.monotonic()
        lost = self.site.machines[-1]
        lost.unplug()
        lost.power_off()
        self.awaits(lambda: running(self.mark) < TASKS, "loss")
        self.awaits(lambda: running(self.mark) == TASKS, "replacement")
        return (time.monotonic() - began) * 1000


class Keel(Pool):
    """keel serve on the first node, keel agent on the others."""

    kind = "keel"

    def environment(self, machine):
        root = {"KEEL_ROOT": str(machine.folder / "root"), "KEEL_CONFIG": str(machine.folder / "keel.yaml")}
        return {**root, "DOCKER_HOST": "none"}

    def prepare(self):
        first = self.site.machines[0]
        stacks = self.site.folder / "stacks"
        stacks.mkdir()
        for machine in self.site.machines:
            plain = f'registries:\n  "{REGISTRY_AT}": {{ insecure: true }}\n'
            listen = f'listen: {{ agents: "{first.address}:7443" }}\n' if machine is first else ""
            (machine.folder / "keel.yaml").write_text(plain + listen)
        first.start(self.lab.keel_file, "serve", stacks, **self.environment(first))
        socket = first.folder / "root/run/keel.sock"
        self.awaits(socket.exists, "socket")
        self.token = self.keel("--quiet", "token", "create", "--uses", NODES - 1).strip()

    def keel(self, *words, **more):
        first = self.site.machines[0]
        inside = ["nsenter", f"--net=/run/netns/{first.netns}", "--", self.lab.keel_file]
        environment = dict(os.environ, NO_COLOR="1", **self.environment(first))
        return self.call(*inside, *words, env=environment, **more)

    def join(self):
        first, *others = self.site.machines
        for machine in others:
            words = ["agent", "--join", f"{first.address}:7443", "--name", machine.name]
            machine.start(self.lab.keel_file, *words, KEEL_TOKEN=self.token, **self.environment(machine))

    def ready(self):
        nodes = json.loads(self.keel("node", "ls", "--format", "json"))
        return sum(node["state"] == "ready" for node in nodes)

    def deploy(self):
        work = json.dumps(["sh", "-c", WORK, self.mark])
        at = self.site.folder / "work"
        at.mkdir()
        service = f"    image: {IMAGE}\n    command: {work}\n    deploy: {{ replicas: {TASKS} }}\n"
        (at / "compose.yaml").write_text(f"services:\n  web:\n{service}")
        self.keel("up", "-d", cwd=at)

    def cgroups(self, machine):
        return [f"keel-{key(machine.folder / 'root')}"]


class Swarm(Pool):
    """A dockerd with its containerd on each node; the first is the manager."""

    kind = "swarm"

    def prepare(self):
        for machine in self.site.machines:
            at = machine.folder
            machine.start(
                "dockerd", "--data-root", at / "data", "--exec-root", at / "exec", "--pidfile", at / "pid",
                "--host", f"unix://{at}/docker.sock",
                "--insecure-registry", REGISTRY_AT, "--storage-driver", "overlay2",
                "--default-address-pool", "base=10.203.0.0/16,size=26",
            )
        for machine in self.site.machines:
            self.awaits(lambda: self.answers(machine), "dockerd")
        first = self.site.machines[0]
        self.docker(first, "swarm", "init", "--advertise-addr", first.address)
        self.token = self.docker(first, "swarm", "join-token", "-q", "worker").strip()

    def client(self, machine, *words):
        return ["/usr/bin/docker", "-H", f"unix://{machine.folder}/docker.sock", *map(str, words)]

    def docker(self, machine, *words):
        return self.call(*self.client(machine, *words))

    def answers(self, machine):
        return subprocess.run(self.client(machine, "version"), capture_output=True).returncode == 0

    def join(self):
        first, *others = self.site.machines
        words = ["swarm", "join", "--token", self.token, f"{first.address}:2377"]
        joins = [subprocess.Popen(self.client(machine, *words), stdout=subprocess.DEVNULL) for machine in others]
        if any(join.wait() for join in joins):
            raise SystemExit("docker swarm join failed")

    def ready(self):
        states = self.docker(self.site.machines[0], "node", "ls", "--format", "{{.Status}}")
        return states.split().count("Ready")

    def deploy(self):
        words = ["service", "create", "--detach", "--quiet", "--name", "web", "--replicas", TASKS]
        self.docker(self.site.machines[0], *words, IMAGE, "sh", "-c", WORK, self.mark)

    def cgroups(self, machine):
        return [f"docker/{container.name}" for container in (machine.folder / "data/containers").glob("*")]


def proportional(pid):
    """A process's share of memory, in MB."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def pool(lab, rounds):
    """a pool: nodes join, a service converges on them, one is lost; against Docker Swarm on the same nodes"""
    print(f"  {TASKS} tasks on {NODES} nodes")
    found = {contestant: [] for contestant in (Keel, Swarm)}
    for turn in range(rounds):
        for contestant, all_figures in found.items():
            with contestant(lab, turn) as one:
                all_figures.append(one.figures())
            told = ", ".join(f"{name} {value:.0f}" for name, value in all_figures[-1].items())
            print(f"  round {turn + 1}, {contestant.kind}: {told}", flush=True)
    for name in found[Keel][0]:
        ours, theirs = ([figures[name] for figures in found[contestant]] for contestant in (Keel, Swarm))
        unit = "MB" if name.startswith("memory") else "ms"
        show = lambda values: f"{statistics.median(values):9.1f} {unit} ({min(values):.0f}–{max(values):.0f})"
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"  {name:26} {show(ours)}  swarm {show(theirs)}  {ratio:.2f} of it", flush=True)
