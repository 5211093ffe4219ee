"""What is measured."""
import json
import pathlib
import shutil
import signal
import statistics
import subprocess
import time
from functools import partial

from deploy import edit, hook
from lab import HERE, compare, tell, timed
from many import many
from pool import pool
from seal import seal

# Ends at once when told to, under every engine.
WAITS = "sh -c 'trap exit TERM; sleep 1000000 & wait'"
SERVICE = f"    image: busybox:1\n    command: {WAITS}\n"
# docker-compose 1.29 wants a version beside `services`; keel only says that it means nothing.
FIVE = 'version: "3.7"\nservices:\n' + "".join(f"  s{n}:\n{SERVICE}" for n in range(5))


def crun_bundle(lab):
    """A bundle of the very root file system that keel unpacked."""
    bundle = lab.folder / "bundle"
    layer = next((lab.folder / "root/images/layers").glob("*/root"))
    subprocess.run(["cp", "-a", layer, lab.folder / "rootfs"], check=True)
    bundle.mkdir()
    (lab.folder / "rootfs").rename(bundle / "rootfs")
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"].update(terminal=False, args=["true"])
    (bundle / "config.json").write_text(json.dumps(spec))
    return bundle


def run(lab, rounds):
    """keel run --rm busybox:1 true, against crun run of the same root, and docker run"""
    lab.keel("run", "--rm", "busybox:1", "true")
    bundle = crun_bundle(lab)
    # crun refuses a version 2 tree without controllers beside version 1.
    crun = "umount /sys/fs/cgroup/unified 2>/dev/null; cd $0 && exec crun run keel-bench"
    contestants = {
        "keel run --network none": lambda: lab.keel("run", "--rm", "--network", "none", "busybox:1", "true"),
        "keel run": lambda: lab.keel("run", "--rm", "busybox:1", "true"),
        "crun run": lambda: lab.call("unshare", "-m", "sh", "-c", crun, bundle),
    }
    if lab.with_docker():
        contestants["docker run --network none"] = lambda: lab.docker("run", "--rm", "--network", "none", "busybox:1", "true")
        contestants["docker run"] = lambda: lab.docker("run", "--rm", "busybox:1", "true")
    compare(rounds, contestants)


def says(version):
    return f"services:\n  app:\n{SERVICE}    environment: {{ VERSION: '{version}' }}\n"


def push(lab, rounds):
    """from the end of git push to the new container running, by keel sync and by a poll each second"""
    bare, tree = lab.folder / "git/stacks.git", lab.folder / "tree"
    lab.must("git", "init", "-q", "--bare", "-b", "main", bare)
    subprocess.run(["git", "clone", "-q", bare, tree], check=True, capture_output=True)
    git = ["git", "-C", tree, "-c", "user.name=Ann", "-c", "user.email=ann@example.org"]

    def publish(version):
        (tree / "stacks/one").mkdir(parents=True, exist_ok=True)
        (tree / "stacks/one/compose.yaml").write_text(says(version))
        for words in (["add", "-A"], ["commit", "-qm", version], ["push", "-q", "origin", "HEAD:main"]):
            subprocess.run([*git, *words], check=True)

    def runs(version):
        """Whether the one running container is of this version, as the kernel tells."""
        for state in (lab.folder / "root/tasks").glob("*/state"):
            try:
                process = json.loads(state.read_text()).get("process")
                environment = pathlib.Path(f"/proc/{process['pid']}/environ").read_bytes()
            except (OSError, ValueError, TypeError):
                continue
            if f"VERSION={version}".encode() in environment:
                return True
        return False

    publish("first")
    lab.start("python3", HERE.parent / "tests/support/git_http.py", 8418, lab.folder / "git")
    url = "http://127.0.0.1:8418/stacks.git"
    lab.until(lambda: lab.ok("curl", "-sf", f"{url}/info/refs?service=git-upload-pack"))
    for trigger in ("sync", "poll"):
        poll = "1s" if trigger == "poll" else "60s"
        serve = lab.start(lab.keel_file, "serve", "--git", url, "--branch", "main", "--path", "stacks/*", "--poll", poll)
        lab.until(lambda: lab.keel("status", "--format", "json", check=False).count('"Healthy"') == 1)
        took = []
        for turn in range(rounds):
            version = f"{trigger}{turn}"
            publish(version)
            began = time.monotonic()
            if trigger == "sync":
                lab.start(lab.keel_file, "sync")
            if not lab.until(lambda: runs(version), pause=0.002):
                raise SystemExit(f"version {version} never ran")
            took.append((time.monotonic() - began) * 1000)
            lab.until(lambda: lab.keel("ps", "-q").count("\n") == 1, pause=0.1)
        tell(trigger, took)
        serve.send_signal(signal.SIGINT)
        serve.wait()
    lab.keel("down", "one")


def up(lab, rounds):
    """up -d of five services, and down again, against docker-compose 1.29"""
    ours = lab.write("five/compose.yaml", FIVE).parent
    theirs = lab.write("fivedocker/docker-compose.yml", FIVE).parent
    programs = {"keel": lambda *words: lab.keel(*words, cwd=ours)}
    if shutil.which("docker-compose") and lab.with_docker():
        socket = f"unix://{lab.docker_socket}"
        programs["docker-compose"] = lambda *words: lab.call("docker-compose", "-H", socket, *words, cwd=theirs)
    ups = {f"{name} up -d": partial(program, "up", "-d") for name, program in programs.items()}
    downs = {f"{name} down": partial(program, "down") for name, program in programs.items()}
    compare(rounds, ups, dict(zip(ups, downs.values())))
    for start in ups.values():
        start()
    compare(rounds, downs, dict(zip(downs, ups.values())))
    for end in downs.values():
        end()


def memory(pid):
    fields = dict(
        line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    kilobytes = lambda name: int(fields[name].split()[0])
    return kilobytes("Pss"), kilobytes("Private_Dirty") + kilobytes("Private_Clean")


def shims(lab, _rounds):
    """memory of a shim where twenty run"""
    for number in range(20):
        lab.keel("run", "-d", "--network", "none", "--name", f"m{number}", "busybox:1", "sleep", "1000000")
    states = (lab.folder / "root/tasks").glob("*/state")
    found = [memory(json.loads(state.read_text())["shim"]["pid"]) for state in states]
    pss, private = zip(*found)
    print(f"  {len(found)} shims: PSS {statistics.median(pss):.0f} kB, private {statistics.median(private):.0f} kB each")
    lab.keel("rm", "-f", *(f"m{number}" for number in range(20)))


def check(lab, rounds):
    """keel check of one file, and of a hundred, against docker-compose config of one"""
    one = lab.write("one/compose.yaml", FIVE).parent
    theirs = lab.write("onedocker/docker-compose.yml", FIVE).parent
    many = lab.folder / "many"
    for number in range(100):
        lab.write(f"many/s{number}/compose.yaml", FIVE)
    contestants = {"keel check": lambda: lab.keel("check", one)}
    if shutil.which("docker-compose"):
        contestants["docker-compose config"] = lambda: lab.call("docker-compose", "config", cwd=theirs)
    compare(rounds, contestants)
    hundred = [timed(lambda: lab.keel("check", many)) for _ in range(rounds)]
    tell("keel check of a hundred", hundred, f"  {statistics.median(hundred) / 100:.2f} ms a file")


CASES = {"run": run, "push": push, "hook": hook, "edit": edit, "up": up, "shims": shims, "check": check, "many": many, "seal": seal, "pool": pool}
