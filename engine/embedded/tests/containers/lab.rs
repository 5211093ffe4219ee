//! A root with one image layer, and tasks in it, each with its shim.

use keel_embedded::layout::{Layout, TaskDir};
use keel_embedded::record::{self, Activity, ShimState, Stage, Work};
use keel_embedded::runtime::cgroup::Cgroup;
use keel_embedded::runtime::{HostMount, ImageFacts, Prepare, prepare};
use keel_embedded::shim::{Launch, Network};
use keel_engine::{Exec, Goal, Place, TaskAssignment, TaskId, TaskSpec};
pub use keel_testing::waiting::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A root of its own.
pub struct Lab {
    folder: tempfile::TempDir,
    pub layout: Layout,
    layer: PathBuf,
    count: Cell<u32>,
}

impl Lab {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let layer = folder.path().join("layer");
        for name in ["bin", "etc", "tmp", "data", "root"] {
            fs::create_dir_all(layer.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
        let applets = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
        for applet in String::from_utf8(applets).unwrap().lines().filter(|name| *name != "busybox")
        {
            symlink("busybox", layer.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/srv/web:/bin/sh\n";
        fs::write(layer.join("etc/passwd"), passwd).unwrap();
        fs::write(layer.join("etc/group"), "root:x:0:\nweb:x:102:\nlogs:x:200:web\n").unwrap();
        fs::write(layer.join("data/from-image"), "image").unwrap();
        fs::write(layer.join("bin/plain"), "not a program").unwrap();
        fs::create_dir_all(layout.secrets()).unwrap();
        Self { folder, layout, layer, count: Cell::new(0) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Nothing is left: no process, cgroup or mount.
    pub fn close(self) {
        let root = self.folder.path().to_str().unwrap();
        assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(root));
        let cgroup = Cgroup::at(&self.layout.cgroup()).unwrap();
        cgroup.remove().unwrap();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains(root), "still runs: {line}");
        }
    }

    /// A task with everything beside its specification at its default.
    pub fn task(&self, spec: TaskSpec) -> Task<'_> {
        self.count.set(self.count.get() + 1);
        let seed = format!("{} {}", self.folder.path().display(), self.count.get());
        let id = TaskId::from_seed(&seed);
        let dir = self.layout.task(&id);
        fs::create_dir_all(dir.etc("")).unwrap();
        fs::write(dir.etc("hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::write(dir.etc("hostname"), id.short()).unwrap();
        fs::write(dir.etc("resolv.conf"), "nameserver 127.0.0.11\n").unwrap();
        let assignment = TaskAssignment {
            id,
            place: Place::OneOff("test".into()),
            generation: 1,
            spec: Arc::new(spec),
            digest: None,
            joins: None,
            replaces: None,
            revision: String::new(),
            origins: serde_json::Value::Null,
            avoids: Vec::new(),
            goal: Goal::Running,
            auto_remove: false,
            remove_volumes: false,
            force: false,
            anew: false,
            grace: None,
        };
        let layers = vec![self.layer.clone()];
        let work = Work { stage: Stage::Launched, run: 1, layers, ..Work::default() };
        let (image, mounts, network) = (ImageFacts::default(), Vec::new(), Network::New);
        Task { lab: self, dir, assignment, work, image, mounts, network, warnings: Vec::new() }
    }

    /// `sh -c SCRIPT`.
    pub fn shell(&self, script: &str) -> Task<'_> {
        self.task(shell(script))
    }
}

/// `sh -c SCRIPT`.
pub fn shell(script: &str) -> TaskSpec {
    let command = ["sh", "-c", script].map(str::to_owned);
    TaskSpec { command: Some(command.into()), ..TaskSpec::default() }
}

/// A task, ended when it is dropped.
pub struct Task<'a> {
    lab: &'a Lab,
    pub dir: TaskDir,
    pub assignment: TaskAssignment,
    pub work: Work,
    pub image: ImageFacts,
    pub mounts: Vec<HostMount>,
    pub network: Network,
    pub warnings: Vec<String>,
}

impl Task<'_> {
    pub fn spec(mut self, change: impl FnOnce(&mut TaskSpec)) -> Self {
        change(Arc::make_mut(&mut self.assignment.spec));
        self
    }

    /// Writes the records that a driver writes.
    pub fn store(&self) {
        record::store(&self.dir.assignment(), &self.assignment).unwrap();
        record::store(&self.dir.work(), &self.work).unwrap();
    }

    /// Makes the specification and starts the shim.
    pub fn launch(mut self) -> Self {
        let request = Prepare {
            layout: &self.lab.layout,
            assignment: &self.assignment,
            work: &self.work,
            image: &self.image,
            mounts: self.mounts.clone(),
        };
        let bundle = prepare(&request).unwrap();
        record::store(&self.dir.config(), &bundle.spec).unwrap();
        self.warnings = bundle.warnings;
        self.store();
        self.shim(self.network.clone(), false);
        self
    }

    pub fn shim(&self, network: Network, adopt: bool) {
        let (dir, root) = (self.dir.0.clone(), self.lab.layout.root().to_owned());
        let launch = Launch { dir, root, network, adopt };
        let output = launch.command(&std::env::current_exe().unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes the records and nudges the shim.
    pub fn nudge(&self) {
        self.store();
        self.signal_shim(Signal::SIGUSR1);
    }

    pub fn signal_shim(&self, signal: Signal) {
        let shim = self.state().shim.unwrap();
        let _ = kill(Pid::from_raw(shim.pid.cast_signed()), signal);
    }

    pub fn state(&self) -> ShimState {
        record::load(&self.dir.state()).unwrap().unwrap_or_default()
    }

    /// Waits until the state is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&ShimState) -> bool) -> ShimState {
        eventually(|| Some(self.state()).filter(&wanted)).unwrap_or_else(|| {
            panic!("not in time: {what}; {:#?}\n{}", self.state(), self.output())
        })
    }

    /// Waits for the end of the last run.
    pub fn end(&self) -> ShimState {
        self.until("the end", |state| state.activity == Activity::Exited)
    }

    pub fn running(&self) -> ShimState {
        self.until("a run", |state| state.activity == Activity::Running)
    }

    /// All that was logged, without times, whole lines and parts alike.
    pub fn output(&self) -> String {
        let text = fs::read_to_string(self.dir.log()).unwrap_or_default();
        let lines = text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default());
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Waits until it was logged.
    pub fn says(&self, text: &str) {
        let said = eventually(|| self.output().contains(text).then_some(()));
        assert!(said.is_some(), "it did not say `{text}` but: {}", self.output());
    }

    pub fn goal(&mut self, goal: Goal) {
        self.assignment.generation += 1;
        self.assignment.goal = goal;
        self.nudge();
    }

    /// Exit code, standard output and standard error of a further process.
    pub fn enter(&self, exec: &Exec) -> (i32, String, String) {
        let request = self.dir.0.join("exec-request");
        fs::write(&request, serde_json::to_vec(exec).unwrap()).unwrap();
        let keel = std::env::current_exe().unwrap();
        // sh gives descriptor 3.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" enter \"$1\" 3<\"$2\""])
            .args([&keel, &self.dir.0, &request])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    pub fn sh(&self, script: &str) -> (i32, String, String) {
        let command = ["sh", "-c", script].map(str::to_owned).into();
        self.enter(&Exec { command, ..Exec::default() })
    }

    pub fn cgroup(&self) -> Cgroup {
        let id = self.assignment.id.short();
        Cgroup::at(&format!("{}/{id}", self.lab.layout.cgroup())).unwrap()
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        let shim = self.state().shim;
        self.assignment.force = true;
        self.goal(Goal::Removed);
        let gone = || shim.as_ref().is_none_or(|shim| !shim.lives()).then_some(());
        let gone = eventually(gone).is_some();
        let _ = self.cgroup().remove();
        assert!(gone || std::thread::panicking(), "the shim goes on: {:#?}", self.state());
    }
}
