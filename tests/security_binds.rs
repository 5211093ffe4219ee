//! Ways from a container to the host by what it mounts: binds below a folder that another container
//! writes to, parts of volumes, and volumes that are filled.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use support::{Host, signal, until};

const WHY: &str = "is a link that leaves";
const SECRET: &str = "what-only-the-host-may-read";

/// A stack of two: `a` writes to `data`, `b` mounts something below it. Outside lies the canary.
struct Knot {
    host: Host,
}

/// What was at the canary before.
#[derive(Debug, PartialEq, Eq)]
struct Witness {
    text: String,
    mode: u32,
    owner: u32,
    changed: (i64, i64),
    names: Vec<String>,
}

impl Knot {
    /// `b` mounts this at `/s`, tries to read and write the canary there by each way that a link may
    /// have opened, and goes on.
    fn new(mounts: &str) -> Self {
        let host = Host::new();
        host.write("canary/file", SECRET);
        host.write("canary/leaf/file", SECRET);
        host.write("knot/data/sub/file", "honest");
        host.write("knot/data/mid/leaf/file", "honest");
        host.write("knot/data/one", "honest");
        let canary = host.path("canary").display().to_string();
        host.write(
            "knot/compose.yaml",
            &format!(
                "services:
  a:
    image: busybox:1
    init: true
    command: sleep 1000000
    volumes: ['./data:/d', 'kept:/v']
  b:
    image: busybox:1
    init: true
    restart: always
    stop_grace_period: 1s
    environment: {{ CANARY: '{canary}' }}
    command:
      - sh
      - -c
      - |
        for f in /s /s/file /s/leaf/file /s$$CANARY/file; do
          cat $$f && echo spoilt >>$$f && chmod 777 $$f
        done 2>/dev/null
        mkdir /s/made /s$$CANARY/made 2>/dev/null
        echo begins
        exec sleep 1000000
    volumes: [{mounts}]
volumes: {{ kept: {{}} }}
"
            ),
        );
        Self { host }
    }

    fn up(&self) -> String {
        let called = self.host.keel(&["up", "-d", "--wait", "./knot"]);
        called.stdout + &called.stderr
    }

    fn witness(&self) -> Witness {
        let meta = fs::metadata(self.host.path("canary/file")).unwrap();
        let mut names: Vec<_> = fs::read_dir(self.host.path("canary"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        Witness {
            text: fs::read_to_string(self.host.path("canary/file")).unwrap(),
            mode: meta.permissions().mode(),
            owner: meta.uid(),
            changed: (meta.mtime(), meta.ctime_nsec()),
            names,
        }
    }

    /// In `a`, as it would do it.
    fn plant(&self, script: &str) {
        self.host.keel(&["exec", "knot-a-1", "sh", "-c", script]).ok();
    }

    fn b(&self) -> Value {
        self.host.container("knot-b-1").unwrap()
    }

    /// All that people can see of `b`.
    fn said(&self) -> String {
        ["ps -a", "status", "status knot", "inspect knot-b-1"]
            .iter()
            .map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                let called = self.host.keel(&words);
                called.stdout + &called.stderr
            })
            .collect()
    }

    #[track_caller]
    fn until_refused(&self, what: &str) {
        let refused =
            || (self.b()["state"] != "running" && self.said().contains(WHY)).then_some(());
        until(&format!("{what}: b says why it does not start"), refused, || {
            self.said() + &self.host.keel(&["logs", "knot-b-1"]).stdout
        });
    }

    #[track_caller]
    fn until_begun(&self, runs: usize) {
        let begun = || {
            let logs = self.host.keel(&["logs", "knot-b-1"]).stdout;
            (logs.matches("begins").count() > runs && self.b()["state"] == "running").then_some(())
        };
        until("b runs again", begun, || self.said());
    }

    fn runs(&self) -> usize {
        self.host.keel(&["logs", "knot-b-1"]).stdout.matches("begins").count()
    }

    fn shim(&self) -> u32 {
        let id = self.b()["id"].as_str().unwrap().to_owned();
        let path = self.host.root().join("tasks").join(id).join("state");
        let state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        u32::try_from(state["shim"]["pid"].as_u64().unwrap()).unwrap()
    }

    fn pid(&self) -> u32 {
        u32::try_from(self.b()["pid"].as_u64().unwrap()).unwrap()
    }

    #[track_caller]
    fn unharmed(&self, before: &Witness, what: &str) {
        let logs = self.host.keel(&["logs", "knot-b-1"]).stdout;
        assert!(!logs.contains(SECRET), "{what}: the canary was read\n{logs}");
        assert_eq!(&self.witness(), before, "{what}: the canary was changed");
    }

    fn finish(self) {
        self.host.keel(&["down", "-v", "knot"]).ok();
        self.host.finish();
    }

    /// For each link: it is planted, `b` starts by this door and says why it does not, the link is
    /// removed, and `b` runs again.
    fn attack(&self, door: fn(&Self), plants: &[(&str, &str)]) {
        self.up();
        self.until_begun(0);
        let before = self.witness();
        for (plant, mend) in plants {
            let canary = self.host.path("canary").display().to_string();
            let runs = self.runs();
            self.plant(&plant.replace('@', &canary));
            door(self);
            self.until_refused(plant);
            // A new container's log begins anew.
            assert!(self.runs() == runs || self.runs() == 0, "{plant}: it ran");
            let runs = self.runs();
            self.unharmed(&before, plant);
            self.plant(mend);
            self.host.keel(&["restart", "knot/b"]);
            self.until_begun(runs);
        }
    }
}

const SUB: &str = "rm -rf /d/sub /d/first; mkdir /d/sub; echo honest >/d/sub/file";
const PLANTS: [(&str, &str); 6] = [
    ("rm -rf /d/sub; ln -s / /d/sub", SUB),
    ("rm -rf /d/sub; ln -s /proc/1/root /d/sub", SUB),
    ("rm -rf /d/sub; ln -s /proc/self/cwd /d/sub", SUB),
    ("rm -rf /d/sub; ln -s @ /d/sub", SUB),
    ("rm -rf /d/sub; ln -s ../../canary /d/sub", SUB),
    ("rm -rf /d/sub; ln -s ../../canary /d/first; ln -s first /d/sub", SUB),
];

fn by_policy(knot: &Knot) {
    signal(knot.pid(), "KILL");
}

fn by_restart(knot: &Knot) {
    let called = knot.host.keel(&["restart", "knot/b"]);
    assert!(
        (called.stdout.clone() + &called.stderr).contains(WHY),
        "the command says why: {called:?}\n{}",
        knot.said()
    );
}

fn by_death_of_the_shim(knot: &Knot) {
    let (shim, pid) = (knot.shim(), knot.pid());
    signal(shim, "KILL");
    signal(pid, "KILL");
    // Whoever drives next finds neither, and starts both.
    knot.up();
}

fn by_up(knot: &Knot) {
    knot.host.keel(&["rm", "-f", "knot-b-1"]);
    let said = knot.up();
    assert!(said.contains(WHY), "{said}");
}

const ONE: [(&str, &str); 3] = [
    ("rm -f /d/one; ln -s @/file /d/one", "rm -f /d/one; echo honest >/d/one"),
    ("rm -f /d/one; ln -s ../../canary/file /d/one", "rm -f /d/one; echo honest >/d/one"),
    ("rm -f /d/one; ln -s /proc/1/root@/file /d/one", "rm -f /d/one; echo honest >/d/one"),
];
const MIDDLE: [(&str, &str); 2] = [
    ("rm -rf /d/mid; ln -s @ /d/mid", "rm -f /d/mid; mkdir -p /d/mid/leaf"),
    ("rm -rf /d/mid; ln -s ../../canary /d/mid", "rm -f /d/mid; mkdir -p /d/mid/leaf"),
];

#[test]
fn a_planted_link_does_not_lead_out_at_a_restart_by_policy() {
    let knot = Knot::new("'./data/sub:/s'");
    knot.attack(by_policy, &PLANTS);
    knot.finish();
}

#[test]
fn a_planted_link_does_not_lead_out_at_a_persons_restart() {
    let knot = Knot::new("'./data/sub:/s'");
    knot.attack(by_restart, &PLANTS);
    knot.finish();
}

#[test]
fn a_planted_link_does_not_lead_out_when_the_shim_is_killed() {
    let knot = Knot::new("'./data/sub:/s'");
    knot.attack(by_death_of_the_shim, &PLANTS[3..5]);
    knot.finish();
}

#[test]
fn a_planted_link_does_not_lead_out_when_the_stack_is_started_anew() {
    let knot = Knot::new("'./data/sub:/s'");
    knot.attack(by_up, &PLANTS[3..]);
    knot.finish();
}

#[test]
fn nor_where_it_takes_the_place_of_a_file() {
    let knot = Knot::new("'./data/one:/s'");
    knot.attack(by_policy, &ONE);
    knot.attack(by_restart, &ONE[..1]);
    knot.finish();
}

#[test]
fn nor_in_the_middle_of_a_path() {
    let knot = Knot::new("'./data/mid/leaf:/s'");
    knot.attack(by_policy, &MIDDLE);
    knot.attack(by_restart, &MIDDLE[..1]);
    knot.finish();
}

/// Read-only, absolute, and by a link of the host's own that leads to the same place.
#[test]
fn nor_by_another_spelling() {
    for spelled in ["knot", "alias"] {
        let knot = Knot::new("'${PLACE}/data/sub:/s:ro'");
        symlink("knot", knot.host.path("alias")).unwrap();
        let place = knot.host.path(spelled).display().to_string();
        knot.host.write("knot/.env", &format!("PLACE={place}\n"));
        knot.attack(by_policy, &PLANTS[3..5]);
        knot.attack(by_restart, &PLANTS[4..5]);
        knot.finish();
    }
}

#[test]
fn nor_where_a_missing_folder_is_made() {
    let knot = Knot::new("'./data/new/made/here:/s'");
    let mend = "rm -rf /d/new";
    let link = [("rm -rf /d/new; ln -s @ /d/new", mend)];
    let dangling = [("rm -rf /d/new; ln -s @/none /d/new", mend)];
    knot.attack(by_up, &link);
    knot.attack(by_up, &dangling);
    assert!(knot.host.path("knot/data/new/made/here").is_dir(), "an honest one is made");
    knot.finish();
}

/// Whoever planted the link need not be there any more.
#[test]
fn nor_when_the_container_that_planted_it_is_gone() {
    let knot = Knot::new("'./data/sub:/s'");
    knot.up();
    knot.until_begun(0);
    let before = knot.witness();
    knot.plant("rm -rf /d/sub; ln -s ../../canary /d/sub");
    knot.host.keel(&["rm", "-f", "knot-a-1", "knot-b-1"]).ok();
    let text = fs::read_to_string(knot.host.path("knot/compose.yaml")).unwrap();
    let (head, b) = (text.split("  a:").next().unwrap(), text.split("  b:").nth(1).unwrap());
    knot.host.write("knot/compose.yaml", &format!("{head}  b:{b}"));
    let said = knot.up();
    assert!(said.contains(WHY), "{said}");
    assert_eq!(knot.runs(), 0, "of the new one");
    knot.unharmed(&before, "its author is gone");
    knot.finish();
}

#[test]
fn links_that_lead_nowhere_else_and_the_hosts_own_are_followed() {
    let host = Host::new();
    let folder = host.path("");
    let at = |path: &str| folder.join(path).display().to_string();
    for (path, text) in
        [("disk/media/film", "film"), ("real-run/file", "run"), ("honest/data/sub/file", "sub")]
    {
        host.write(path, text);
    }
    symlink("real-run", host.path("run")).unwrap();
    symlink("../disk/media", host.path("honest/media")).unwrap();
    symlink("sub", host.path("honest/data/relative")).unwrap();
    symlink(at("honest/data/sub"), host.path("honest/data/absolute")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(host.path("real-run/sock")).unwrap();
    host.write(
        "honest/compose.yaml",
        &format!(
            "services:
  writer:
    image: busybox:1
    init: true
    command: sleep 1000000
    volumes: ['./data:/data', './media:/media', './made/new:/new']
  reader:
    image: busybox:1
    init: true
    command: sleep 1000000
    volumes:
      - ./data/relative:/relative
      - ./data/absolute:/absolute
      - ./media/film:/film:ro
      - {}:/run/sock
      - {}:/run/file
      - /etc/localtime:/etc/localtime:ro
      - /dev/null:/nothing
",
            at("run/sock"),
            at("run/file"),
        ),
    );
    // Where a host has none, `etc/localtime` is a folder that is made: as with docker.
    let had_none = !Path::new("/etc/localtime").exists();
    host.keel(&["up", "-d", "--wait", "./honest"]).ok();
    for _ in 0..2 {
        let script = "cat /relative/file /absolute/file /film /run/file; test -S /run/sock && \
                      test -c /nothing && test -e /etc/localtime && echo ,whole";
        let seen = host.keel(&["exec", "honest-reader-1", "sh", "-c", script]).ok();
        assert_eq!(seen.stdout.trim_end(), "subsubfilmrun,whole");
        assert!(host.path("honest/made/new").is_dir());
        host.keel(&["restart", "honest"]).ok();
    }
    host.keel(&["down", "-v", "honest"]).ok();
    if had_none {
        let _ = fs::remove_dir("/etc/localtime");
    }
    host.finish();
}

/// An image with a large file and many folders at `/fill`.
fn with_filler() -> Host {
    let host = Host::with_own_registry();
    host.sh(
        "mkdir -p filler/root/fill filler/blobs/sha256 && cd filler
         head -c 20000000 /dev/zero >root/fill/0-large
         for n in $(seq 10 69); do mkdir root/fill/f$n; echo from-the-image >root/fill/f$n/file
           chmod 750 root/fill/f$n; chown 33:34 root/fill/f$n; done
         mkdir root/bin; cp /bin/busybox root/bin/; ln -s busybox root/bin/true
         ln -s ../../../../../../etc root/out; ln -s /fill root/in
         tar -C root -cf layer.tar .
         put() { d=$(sha256sum $1 | cut -d' ' -f1); cp $1 blobs/sha256/$d
           echo \"\\\"digest\\\":\\\"sha256:$d\\\",\\\"size\\\":$(stat -c %s $1)\"; }
         v=application/vnd.oci.image
         printf '{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/true\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}' \
           $(dpkg --print-architecture) $(sha256sum layer.tar | cut -d' ' -f1) >config
         printf '{\"schemaVersion\":2,\"mediaType\":\"%s.manifest.v1+json\",\"config\":{\"mediaType\":\"%s.config.v1+json\",%s},\"layers\":[{\"mediaType\":\"%s.layer.v1.tar\",%s}]}' \
           $v $v $(put config) $v $(put layer.tar) >manifest
         printf '{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s.manifest.v1+json\",%s}]}' $v $(put manifest) >index.json
         echo '{\"imageLayoutVersion\":\"1.0.0\"}' >oci-layout; cd ..
         skopeo copy -q --insecure-policy --dest-tls-verify=false oci:filler docker://127.0.0.1:5000/library/filler:1",
    );
    host
}

/// What a container with the volume does while another's image fills it.
const AFTER_THE_FIRST: &str = "until [ -n \"$(ls -A /v)\" ]; do :; done; echo planting
    while :; do for n in $(seq 69 -1 10); do rm -rf /v/f$n; ln -s $C /v/f$n; done; done";
const ALL_THE_TIME: &str = "echo planting
    while :; do ln -s $C /v/f40; ln -s $C/file /v/0-large; rm -f /v/f40 /v/0-large; done";
/// At a name that is moved late, only until something is there.
const ONE_NAME: &str = "echo planting
    while [ ! -e /v/0-large ]; do ln -s $C /v/f69; rm -f /v/f69; done 2>/dev/null
    while :; do ln -s $C /v/f68; rm -rf /v/f67; ln -s $C /v/f67; done 2>/dev/null";

#[test]
fn links_that_are_planted_while_a_volume_is_filled_are_not_followed() {
    let host = with_filler();
    host.write("canary/file", SECRET);
    let canary = host.path("canary");
    let seen = || {
        let names = fs::read_dir(&canary).unwrap().count();
        let meta = fs::metadata(&canary).unwrap();
        let text = fs::read_to_string(canary.join("file")).unwrap();
        (names, meta.mode(), meta.uid(), meta.mtime_nsec(), text)
    };
    let before = seen();
    let mut filled = 0;
    for round in 0..9 {
        let script = [AFTER_THE_FIRST, ALL_THE_TIME, ONE_NAME][round % 3];
        let (volume, env) = (format!("v{round}"), format!("C={}", canary.display()));
        let name = format!("planter{round}");
        let mount = format!("{volume}:/v");
        #[rustfmt::skip]
        host.keel(&["run", "-d", "--name", &name, "-v", &mount, "-e", &env, "busybox:1", "sh", "-c", script]).ok();
        let into = format!("{volume}:{}", ["/fill", "/in"][round % 2]);
        host.keel(&["run", "--rm", "-v", &into, "filler:1"]).ok();
        let data = host.root().join("volumes").join(&volume).join("data");
        let planted = || host.keel(&["logs", &name]).stdout.contains("planting").then_some(());
        until("the attempt is made", planted, || host.overview());
        host.keel(&["rm", "-f", &name]).ok();
        assert_eq!(seen(), before, "round {round}");
        // By itself: the planter may have been ended with a link of its own there.
        let large = data.join("0-large").symlink_metadata().ok().filter(fs::Metadata::is_file);
        filled += usize::from(large.is_some());
        let length = large.map_or(20_000_000, |large| large.len());
        assert_eq!(length, 20_000_000, "round {round}: whole or not there");
        let left = fs::read_dir(host.root().join("volumes").join(&volume)).unwrap().count();
        assert_eq!(left, 2, "the volume's record and its data");
        for n in 10..70 {
            let folder = data.join(format!("f{n}"));
            let Ok(meta) = folder.symlink_metadata() else { continue };
            if meta.is_dir() {
                assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (33, 34, 0o750));
                let text = fs::read_to_string(folder.join("file")).unwrap();
                assert_eq!(text, "from-the-image\n");
            }
        }
        host.keel(&["volume", "rm", &volume]).ok();
    }
    assert!(filled >= 3, "the race was not entered: {filled} of 9 were filled");
    assert_eq!(seen(), before, "after the volumes were removed");
    host.finish();
}

#[test]
fn an_image_fills_a_volume_from_inside_of_itself_only() {
    let host = with_filler();
    host.keel(&["run", "--rm", "-v", "out:/out", "filler:1"]).ok();
    let data = host.root().join("volumes/out/data");
    assert!(!data.join("passwd").exists(), "the link leads into the image's own /etc");
    host.keel(&["run", "--rm", "-v", "in:/in", "filler:1"]).ok();
    assert!(host.root().join("volumes/in/data/f10/file").is_file());
    host.keel(&["volume", "rm", "out", "in"]).ok();
    host.finish();
}

/// Deeper than this process may have files open, and than a path may be long.
const DEEP: &str = "import os
for where in ('/v', '/tmp'):
    os.chdir(where)
    for level in range(4000):
        os.mkdir('n'); os.chdir('n')
    os.symlink(os.environ['C'], 'link')
print('deep')";

#[test]
fn removal_follows_no_link_and_ends_however_deep_it_goes() {
    let host = Host::new();
    host.write("canary/file", SECRET);
    let env = format!("C={}", host.path("canary").display());
    #[rustfmt::skip]
    let made = host.keel(&["run", "--name", "deep", "-v", "deep:/v", "-e", &env, "python:3-slim", "python3", "-c", DEEP]).ok();
    assert_eq!(made.stdout, "deep\n");
    let keel = env!("CARGO_BIN_EXE_keel");
    host.sh(&format!("ulimit -n 256; '{keel}' rm deep && '{keel}' volume rm deep"));
    assert!(host.container("deep").is_none());
    let gone = || (!host.root().join("volumes/deep").exists()).then_some(());
    until("the volume is gone", gone, || host.keel(&["volume", "ls"]).stdout);
    assert_eq!(fs::read_to_string(host.path("canary/file")).unwrap(), SECRET);
    host.finish();
}

#[test]
fn what_is_marked_immutable_is_named() {
    let host = Host::new();
    #[rustfmt::skip]
    host.keel(&["run", "--name", "fixed", "-v", "fixed:/v", "busybox:1", "touch", "/v/here"]).ok();
    host.keel(&["rm", "fixed"]).ok();
    let file = host.root().join("volumes/fixed/data/here").display().to_string();
    host.sh(&format!("chattr +i '{file}'"));
    let refused = host.keel(&["volume", "rm", "fixed"]);
    host.sh(&format!("chattr -i '{file}'"));
    host.keel(&["volume", "rm", "fixed"]);
    let gone = || (!host.root().join("volumes/fixed").exists()).then_some(());
    until("the volume is gone", gone, || host.keel(&["volume", "ls"]).stdout);
    assert!(refused.stderr.contains("chattr -R -i -a"), "{}", refused.stderr);
    host.finish();
}
