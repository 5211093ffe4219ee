//! A host of a test's own: a network namespace, a root directory, a registry that stands in for
//! docker.io, and the `keel` binary as a user runs it.
//!
//! Waiting is always for a condition with a deadline ([`until`]); [`Host::finish`] checks that
//! nothing is left.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod disk;
pub mod git;
pub mod hostile;
pub mod pool;
mod private_registry;
pub mod raw_git;
pub mod reboot;
pub mod receiver;
pub mod scripted;

use keel_names::Digest;
pub use keel_testing::waiting::until;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long anything may take on a slow and busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A host of a test's own.
pub struct Host {
    /// The network namespace's name.
    pub name: String,
    folder: tempfile::TempDir,
    registry: Option<Child>,
    /// Arguments after `keel` that every call gets.
    pub environment: Vec<(String, String)>,
}

/// What a call of `keel` came to.
#[derive(Debug)]
pub struct Called {
    /// The exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl From<Output> for Called {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Called {
    /// The same, where it must have gone well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Its JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// A running `keel serve`.
pub struct Serve {
    child: Child,
    log: PathBuf,
}

impl Serve {
    /// What it has printed so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has printed a text.
    #[track_caller]
    pub fn until_said(&self, text: &str) {
        until(
            &format!("serve says `{text}`"),
            || self.said().contains(text).then_some(()),
            || self.said(),
        );
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Ctrl-C, and what it said in all.
    pub fn interrupt(mut self) -> (i32, String) {
        signal(self.child.id(), "INT");
        let code = self.child.wait().expect("it is ours").code().unwrap_or(-1);
        (code, self.said())
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(done.expect("kill runs").success(), "kill -{name} {pid}");
}

/// The storage of the registry that stands in for docker.io, made once.
fn images() -> &'static Path {
    static STORAGE: OnceLock<PathBuf> = OnceLock::new();
    STORAGE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let prober = source.with_file_name("security/prober.c");
        let read = |path: &Path| fs::read(path).expect("what images are made of is there");
        let made_of = [read(&source), read(&prober)].concat();
        let key = Digest::of(&made_of).hex();
        let storage = target.join(format!("images-{}", &key[..12]));
        let lock = target.join("images.lock");
        let done = Command::new("flock").arg(lock).arg(&source).arg(&storage).status();
        assert!(done.expect("flock is there").success(), "tests/images failed");
        storage
    })
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

#[track_caller]
fn must(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Host {
    /// A host with a registry on 127.0.0.1:5000 that docker.io is mirrored by.
    pub fn new() -> Self {
        let host = Self::bare();
        host.write(
            "keel.yaml",
            "registries:\n  docker.io: { mirrors: [\"http://127.0.0.1:5000\"] }\n",
        );
        host.with_registry()
    }

    /// The same, with a storage that is the registry's own, to be changed.
    pub fn with_own_registry() -> Self {
        let mut host = Self::new();
        let shared = fs::read_to_string(host.path("registry.yml")).expect("it has been written");
        let own = host.path("storage");
        host.stop_registry();
        must("cp", &["-r", &images().to_string_lossy(), &own.to_string_lossy()]);
        let shared = shared.replace(&*images().to_string_lossy(), &own.to_string_lossy());
        host.write("registry.yml", &shared);
        host.start_registry();
        host
    }

    /// A host without a registry.
    pub fn bare() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("keel-test-{}-{number}", std::process::id());
        must("ip", &["netns", "add", &name]);
        must("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let folder =
            tempfile::Builder::new().prefix("keel-test-").tempdir().expect("a temp folder");
        let host = Self { name, folder, registry: None, environment: vec![] };
        host.write("keel.yaml", "");
        host
    }

    fn with_registry(mut self) -> Self {
        let storage = images();
        self.write(
            "registry.yml",
            &format!(
                "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, \
                 delete: {{ enabled: true }}, maintenance: {{ uploadpurging: {{ enabled: false }} }} }}\n\
                 http: {{ addr: 0.0.0.0:5000 }}\n",
                storage.display()
            ),
        );
        self.start_registry();
        self
    }

    /// Starts the registry (again).
    pub fn start_registry(&mut self) {
        let log = File::create(self.path("registry.log")).expect("a log file");
        let child = self
            .command("docker-registry")
            .args(["serve".into(), self.path("registry.yml")])
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("docker-registry is installed");
        self.registry = Some(child);
        let up = || {
            let answer = self.command("curl").args(["-s", "http://127.0.0.1:5000/v2/"]).output();
            answer.is_ok_and(|answer| answer.status.success()).then_some(())
        };
        until("the registry answers", up, String::new);
    }

    /// Ends the registry.
    pub fn stop_registry(&mut self) {
        if let Some(mut registry) = self.registry.take() {
            registry.kill().expect("it is ours");
            registry.wait().expect("it is ours");
        }
    }

    /// A command inside this host's network.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg("--").arg(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("KEEL_ROOT", self.root()).env("KEEL_CONFIG", self.path("keel.yaml"));
        command.env("NO_COLOR", "1").env_remove("KEEL_HOST");
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// What `keel` with these arguments comes to.
    pub fn keel(&self, arguments: &[&str]) -> Called {
        self.keel_in(self.folder.path(), arguments)
    }

    /// The same in another current folder.
    pub fn keel_in(&self, folder: &Path, arguments: &[&str]) -> Called {
        let output = self
            .command(env!("CARGO_BIN_EXE_keel"))
            .args(arguments)
            .current_dir(folder)
            .output()
            .expect("keel runs");
        output.into()
    }

    /// A program inside this host's network, and what it printed; it must go well.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.command("sh").args(["-c", script]).output().expect("sh runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `keel serve` in the background.
    pub fn serve(&self, arguments: &[&str]) -> Serve {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let log = self.path(&format!("serve-{}.log", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&log).expect("a log file");
        let child = self
            .command(env!("CARGO_BIN_EXE_keel"))
            .arg("serve")
            .args(arguments)
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("keel runs");
        let serve = Serve { child, log };
        let socket = self.root().join("run/keel.sock");
        let up = || std::os::unix::net::UnixStream::connect(&socket).ok();
        until("serve answers", up, || serve.said());
        serve
    }

    /// keel's root directory.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A path in the test's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the test's folder, and what folders it needs.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(&path, text).expect("the file can be written");
        path
    }

    /// The body behind a URL; `None` while there is no good answer.
    pub fn get(&self, url: &str) -> Option<String> {
        let output =
            self.command("curl").args(["-sf", "-m", "5", url]).output().expect("curl runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits for a good answer from a URL.
    #[track_caller]
    pub fn until_get(&self, url: &str) -> String {
        until(&format!("{url} answers"), || self.get(url), || self.overview())
    }

    /// `keel ps -a`, as data.
    #[track_caller]
    pub fn ps(&self) -> Vec<Value> {
        let called = self.keel(&["ps", "-a", "--format", "json"]).ok();
        called.json().as_array().expect("a listing is an array").clone()
    }

    /// The one container of this name.
    pub fn container(&self, name: &str) -> Option<Value> {
        self.ps().into_iter().find(|row| row["name"] == name)
    }

    /// Waits until a container of this name is running, and healthy if it has a check.
    #[track_caller]
    pub fn until_well(&self, name: &str) -> Value {
        let well = || {
            self.container(name).filter(|row| {
                row["state"] == "running"
                    && matches!(row["health"].as_str(), Some("none" | "healthy"))
            })
        };
        until(&format!("{name} is well"), well, || self.overview())
    }

    /// The one row of `keel status` for a stack.
    pub fn status(&self, stack: &str) -> Option<Value> {
        let called = self.keel(&["status", "--format", "json"]);
        let rows: Value = serde_json::from_str(&called.stdout).ok()?;
        rows.as_array()?.iter().find(|row| row["stack"] == stack).cloned()
    }

    /// The file that holds the memory limit of a container, by its process.
    pub fn limit_file(&self, name: &str) -> String {
        let pid = self.container(name).expect("it is there")["pid"].as_u64().expect("it runs");
        self.sh(&format!(
            "g=$(sed -n 's/^[0-9]*:memory://p' /proc/{pid}/cgroup); if [ -n \"$g\" ]; \
             then echo /sys/fs/cgroup/memory$g/memory.limit_in_bytes; \
             else echo /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/{pid}/cgroup)/memory.max; fi"
        ))
        .trim()
        .to_owned()
    }

    /// Waits until the last operation of a stack is of this commit, and has come to this; gives it
    /// as the history has it.
    #[track_caller]
    pub fn until_ended(&self, stack: &str, commit: &str, state: &str) -> Value {
        let ended = || {
            let history = self.keel(&["history", stack, "--format", "json"]);
            let rows: Value = serde_json::from_str(&history.stdout).ok()?;
            let last = rows.as_array()?.last()?.clone();
            let about = last["revision"].as_str()?;
            (commit.starts_with(about) && !about.is_empty() && last["state"] == state)
                .then_some(last)
        };
        let explain = || self.keel(&["history", stack]).stdout + &self.overview();
        until(&format!("{stack} has {state} at {commit}"), ended, explain)
    }

    /// All that helps to understand a failure.
    pub fn overview(&self) -> String {
        let mut text = String::new();
        for arguments in [&["ps", "-a"][..], &["status"]] {
            let called = self.keel(arguments);
            text +=
                &format!("$ keel {}\n{}{}\n", arguments.join(" "), called.stdout, called.stderr);
        }
        text
    }

    /// Ends the registry and checks that nothing of keel is left: no process, mount, namespace,
    /// link, table, cgroup.
    #[track_caller]
    pub fn finish(mut self) {
        self.stop_registry();
        let left = || {
            let left = self.leftovers();
            left.is_empty().then_some(())
        };
        until("nothing is left", left, || self.leftovers().join("\n") + &self.remembered());
    }

    /// What the root still knows of networks and tasks: why something is left.
    fn remembered(&self) -> String {
        let root = self.root();
        self.sh(&format!(
            "cd {} && ls -l tasks networks; cat networks/* tasks/*/assignment; true",
            root.display()
        ))
    }

    /// What of keel is there, a line each.
    pub fn leftovers(&self) -> Vec<String> {
        let root = self.root().to_string_lossy().into_owned();
        let mut left = processes_of(&root);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(
            mounts.lines().filter(|line| line.contains(&root)).map(|line| format!("mount: {line}")),
        );
        let links = must("ip", &["-n", &self.name, "-o", "link"]);
        let ours = |line: &&str| !line.contains(": lo:") && !line.contains("docker0");
        left.extend(links.lines().filter(ours).map(|line| format!("link: {line}")));
        let tables = self.sh("nft list tables");
        left.extend(
            tables.lines().filter(|line| line.contains("keel")).map(|line| format!("nft: {line}")),
        );
        left.extend(self.cgroups().into_iter().map(|path| format!("cgroup: {path}")));
        left.extend(self.late().exists().then(|| format!("late: {}", self.late().display())));
        let secrets = self.secrets();
        left.extend(secrets.exists().then(|| format!("secrets: {}", secrets.display())));
        left
    }

    /// Six digits of what this host's root is called outside of it.
    fn key(&self) -> String {
        Digest::of(self.root().as_os_str().as_encoded_bytes()).hex()[..6].to_owned()
    }

    /// Where records are kept that the root's disk does not take.
    pub fn late(&self) -> PathBuf {
        Path::new("/run/keel-late").join(self.key())
    }

    /// Where secrets are on a node of another's controller.
    pub fn secrets(&self) -> PathBuf {
        Path::new("/run/keel-secrets").join(self.key())
    }

    /// The cgroups of this host's root.
    pub fn cgroups(&self) -> Vec<String> {
        let name = format!("keel-{}", self.key());
        // Others' cgroups come and go while it looks.
        let found = run("find", &["/sys/fs/cgroup", "-type", "d", "-name", &name]).stdout;
        String::from_utf8_lossy(&found).lines().map(str::to_owned).collect()
    }
}

/// The keel processes that name this root in their arguments.
fn processes_of(root: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc").expect("proc is mounted").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.contains(root) && line.contains("keel") && pid != std::process::id() {
            found.push(format!("process {pid}: {}", line.replace('\0', " ")));
        }
    }
    found
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop_registry();
        let root = self.root().to_string_lossy().into_owned();
        if !processes_of(&root).is_empty() {
            for row in serde_json::from_str::<Vec<Value>>(
                &self.keel(&["ps", "-a", "--format", "json"]).stdout,
            )
            .unwrap_or_default()
            {
                self.keel(&["rm", "-f", "-v", row["id"].as_str().unwrap_or_default()]);
            }
            for line in processes_of(&root) {
                let pid = line.split([' ', ':']).nth(1).unwrap_or_default().to_owned();
                run("kill", &["-9", &pid]);
            }
        }
        for cgroup in self.cgroups() {
            // All inside, where the kernel can; then from the deepest on.
            let _ = fs::write(Path::new(&cgroup).join("cgroup.kill"), "1");
            run("find", &[&cgroup, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
        }
        run("ip", &["netns", "del", &self.name]);
        // Of a disk that was never made writable again.
        let _ = fs::remove_dir_all(self.late());
        let _ = fs::remove_dir_all(format!("{}-lock", self.late().display()));
    }
}
