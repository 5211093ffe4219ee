"""What it costs that programs beside containers run from copies of keel that nobody can write through."""
import json
import pathlib
import re
import shutil
import statistics

from lab import compare

MANY = 20


def program_pages(pid):
    """Resident, proportional and shared kilobytes of a process's own program."""
    found = {"Rss": 0, "Pss": 0, "Shared_Clean": 0}
    inside = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith("/keel")
        elif inside and line.split(":")[0] in found:
            found[line.split(":")[0]] += int(line.split()[1])
    return found


def seal(lab, rounds):
    """the private copies of keel that shims and inits run from: disk, time at a start, memory"""
    programs = lab.folder / "root/programs"
    once = lambda *flags: lab.keel("run", "--rm", "--network", "none", *flags, "busybox:1", "true")
    once("--init")
    sizes = {copy.parent.name.split("-")[0]: copy.stat().st_blocks // 2 for copy in programs.glob("*/keel")}
    for usage, size in sorted(sizes.items()):
        print(f"  copy for each {usage:20} {size} kB of disk")

    def without():
        shutil.rmtree(programs)
        return once("--init")

    compare(rounds, {"run --init, copies are there": lambda: once("--init"), "run --init, copies are made": without})
    # Either ends at once: the first after it has sealed itself, the second without.
    enter = lambda: lab.call(lab.keel_file, "enter", lab.folder / "root/tasks/none", check=False)
    plain = lambda: lab.call(lab.keel_file, "shim", check=False)
    compare(rounds * 5, {"a process that seals itself": enter, "one that does not": plain})

    for number in range(MANY):
        lab.keel("run", "-d", "--network", "none", "--name", f"m{number}", "busybox:1", "sleep", "1000000")
    states = (lab.folder / "root/tasks").glob("*/state")
    pages = [program_pages(json.loads(state.read_text())["shim"]["pid"]) for state in states]
    middle = {name: statistics.median(page[name] for page in pages) for name in pages[0]}
    print(
        f"  pages of the program in each of {len(pages)} shims: {middle['Rss']:.0f} kB resident, "
        f"{middle['Shared_Clean']:.0f} kB of them shared, {middle['Pss']:.0f} kB its part"
    )
    lab.keel("rm", "-f", *(f"m{number}" for number in range(MANY)))
