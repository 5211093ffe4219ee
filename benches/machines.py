"""Machines that are none: a network namespace each, at one switch, and everything else that a daemon calls its own."""
import contextlib
import hashlib
import os
import pathlib
import subprocess

from lab import REGISTRY, HERE, Lab

NET = "10.202.0"
REGISTRY_AT = f"{NET}.1:5000"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# What is below /run is the host's; here each has its own. Nobody answers for names, and that is known at once: the
# host's servers are out of reach. Orphans belong to the shell, which buries them.
FIRST = """mount -t tmpfs run /run && : >/run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf &&
hostname "$NODE" && { "$@" & wait; }"""


class Machine:
    """One of them. All of its processes are in a PID namespace, and end with the first of that."""

    def __init__(self, site, number):
        self.site, self.number = site, number
        self.name = f"n{number}"
        self.netns = f"{site.name}-{number}"
        self.address = f"{NET}.{10 + number}"
        self.folder = site.folder / self.name
        self.folder.mkdir(parents=True)
        self.outer = None

    def plug_in(self):
        switch, own = ["-n", self.site.netns], ["-n", self.netns]
        self.site.must("ip", "netns", "add", self.netns)
        self.site.must("ip", *switch, "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        self.site.must("ip", *switch, "link", "set", self.name, "master", "switch", "up")
        self.site.must("ip", *own, "address", "add", f"{self.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            self.site.must("ip", *own, "link", "set", link, "up")
        self.site.must("ip", *own, "route", "add", "default", "via", f"{NET}.1")

    def start(self, *words, **environment):
        """Its daemon."""
        apart = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["nsenter", f"--net=/run/netns/{self.netns}", "--", *apart, "sh", "-c", FIRST, "sh"]
        log = open(self.folder / "log", "a")
        environment = dict(os.environ, NO_COLOR="1", NODE=self.name, **environment)
        self.outer = subprocess.Popen([*command, *map(str, words)], stdout=log, stderr=log, env=environment)

    def first(self):
        """The first process of its namespace, as the host counts."""
        children = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text()
        return int(children.split()[0])

    def daemons(self):
        """What runs beside its containers: those have PID namespaces of their own."""
        first = self.first()
        own = os.readlink(f"/proc/{first}/ns/pid")
        return [pid for pid in processes() if pid != first and namespace(pid) == own]

    def unplug(self):
        self.site.must("ip", "-n", self.site.netns, "link", "set", self.name, "down")

    def power_off(self):
        """Nothing of it runs any more, and nothing was told to end."""
        if self.outer is not None and self.outer.poll() is None:
            self.outer.kill()
        if self.outer is not None:
            self.outer.wait()

    def remove(self):
        self.power_off()
        subprocess.run(["ip", "netns", "del", self.netns], check=False)


class Site:
    """A switch with a registry, and machines at it. All of it is gone when it is left."""

    def __init__(self, lab, kind, count):
        self.name = f"{lab.name}-{kind}"
        self.netns = f"{self.name}-switch"
        self.folder = lab.folder / kind
        self.registry = None
        self.machines = [Machine(self, number) for number in range(1, count + 1)]

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        self.must("ip", "netns", "add", self.netns)
        self.must("ip", "-n", self.netns, "link", "add", "switch", "type", "bridge")
        self.must("ip", "-n", self.netns, "address", "add", f"{NET}.1/24", "dev", "switch")
        for link in ("lo", "switch"):
            self.must("ip", "-n", self.netns, "link", "set", link, "up")
        for machine in self.machines:
            machine.plug_in()
        text = REGISTRY.format(storage=HERE.parent / "target/tmp/images-bench")
        (self.folder / "registry.yml").write_text(text.replace("127.0.0.1:5000", REGISTRY_AT))
        self.registry = subprocess.Popen(
            self.inside("docker-registry", "serve", self.folder / "registry.yml"),
            stdout=open(self.folder / "registry.log", "a"), stderr=subprocess.STDOUT,
        )
        answers = self.inside("curl", "-sf", f"http://{REGISTRY_AT}/v2/")
        if not Lab.until(lambda: subprocess.run(answers, capture_output=True).returncode == 0):
            raise SystemExit("the registry does not answer")

    def __exit__(self, *_):
        for machine in self.machines:
            machine.remove()
        if self.registry is not None:
            self.registry.terminate()
            self.registry.wait()
        subprocess.run(["ip", "netns", "del", self.netns], check=False)

    def inside(self, *words):
        return ["nsenter", f"--net=/run/netns/{self.netns}", "--", *map(str, words)]

    @staticmethod
    def must(*words):
        subprocess.run([*map(str, words)], check=True)


def processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def namespace(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")
    return None


def running(mark):
    """How many containers of this mark run, as the kernel tells: whatever a daemon believes."""
    found = 0
    for pid in processes():
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found += words[0] == b"sh" and mark.encode() in words
    return found


def remove_cgroups(relative):
    """A cgroup in every hierarchy, with those below it. Whoever ended at once took none of them along."""
    for hierarchy in [CGROUPS, *CGROUPS.iterdir()]:
        top = hierarchy / relative
        for folder, _, _ in os.walk(top, topdown=False):
            # It is busy for a moment after its last process has ended.
            Lab.until(lambda: gone(pathlib.Path(folder)), 10)
        # Made along with it, and of use to others if they are in it.
        if top.parent not in (CGROUPS, hierarchy):
            gone(top.parent)


def gone(folder):
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def key(root):
    """What keel adds to the names of a root's cgroups."""
    return hashlib.sha256(str(root).encode()).hexdigest()[:6]
