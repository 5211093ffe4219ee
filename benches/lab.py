"""A host of its own to measure in: a network namespace with a registry, dockerd, and keel's root."""
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REGISTRY = """version: 0.1
log: {{ level: error }}
storage: {{ filesystem: {{ rootdirectory: {storage} }}, maintenance: {{ uploadpurging: {{ enabled: false }} }} }}
http: {{ addr: 127.0.0.1:5000 }}
"""
MIRROR = 'registries:\n  docker.io: { mirrors: ["http://127.0.0.1:5000"] }\n'


class Lab:
    """Ends all that it started, and removes what it made, when it is left."""

    def __init__(self, keel):
        self.keel_file = keel
        self.name = f"keel-bench-{os.getpid()}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keel-bench-"))
        self.children = []
        self.docker_socket = self.folder / "docker.sock"

    def __enter__(self):
        self.must("ip", "netns", "add", self.name)
        self.must("ip", "-n", self.name, "link", "set", "lo", "up")
        storage = HERE.parent / "target/tmp/images-bench"
        storage.parent.mkdir(parents=True, exist_ok=True)
        self.must(HERE.parent / "tests/images", storage)
        self.write("registry.yml", REGISTRY.format(storage=storage))
        self.write("keel.yaml", MIRROR)
        self.start("docker-registry", "serve", self.folder / "registry.yml")
        self.until(lambda: self.ok("curl", "-sf", "http://127.0.0.1:5000/v2/"))
        return self

    def __exit__(self, *_):
        left = self.keel("ps", "-aq", check=False).split()
        if left:
            self.keel("rm", "-f", *left, check=False)
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
            child.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self):
        root = {"KEEL_ROOT": f"{self.folder}/root", "KEEL_CONFIG": f"{self.folder}/keel.yaml"}
        return dict(os.environ, NO_COLOR="1", **root)

    def inside(self, *words):
        """The command that runs these words in this host's network."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *map(str, words)]

    def must(self, *words):
        subprocess.run([*map(str, words)], check=True)

    def ok(self, *words):
        return subprocess.run(self.inside(*words), capture_output=True).returncode == 0

    def start(self, *words):
        """A process in the background, ended with the lab."""
        log = open(self.folder / "log", "a")
        command = self.inside(*words)
        child = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
        self.children.append(child)
        return child

    def call(self, *words, check=True, cwd=None):
        done = subprocess.run(
            self.inside(*words), capture_output=True, text=True, env=self.environment(), cwd=cwd
        )
        if check and done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr or done.stdout}")
        return done.stdout

    def keel(self, *words, check=True, cwd=None):
        return self.call(self.keel_file, *words, check=check, cwd=cwd)

    def docker(self, *words):
        return self.call("/usr/bin/docker", "-H", f"unix://{self.docker_socket}", *words)

    def with_docker(self):
        """Starts dockerd with the images, once; `False` where it does not start."""
        if self.docker_socket.exists():
            return True
        at = self.folder / "docker"
        self.start(
            "dockerd", "--data-root", at / "data", "--exec-root", at / "exec", "--pidfile", at / "pid",
            "--host", f"unix://{self.docker_socket}", "--registry-mirror", "http://127.0.0.1:5000",
            "--storage-driver", "overlay2", "--default-address-pool", "base=10.201.0.0/16,size=26",
        )
        answers = ("/usr/bin/docker", "-H", f"unix://{self.docker_socket}", "version")
        if not self.until(lambda: self.ok(*answers), 30):
            return False
        self.docker("pull", "-q", "busybox:1")
        return True

    @staticmethod
    def until(condition, seconds=60, pause=0.01):
        """Waits for a condition; whether it came in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(pause)
        return True


def timed(work):
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def compare(rounds, contestants, undo=None):
    """Each in turn, so that whatever else the machine does meets all alike. The first is ours.
    `undo` has by name what makes the next turn like the first."""
    times = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, work in contestants.items():
            took = timed(work)
            if turn > 0:  # the first warms caches
                times[name].append(took)
            if undo:
                undo[name]()
    ours = statistics.median(next(iter(times.values())))
    for name, all_times in times.items():
        tell(name, all_times, f"  ours is {ours / statistics.median(all_times):.2f} of it")


def tell(name, times, more=""):
    """A row: median, and least to most."""
    median = statistics.median(times)
    print(f"  {name:32} {median:9.1f} ms  ({min(times):.0f}–{max(times):.0f}){more}", flush=True)
