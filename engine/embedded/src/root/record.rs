//! The records in a task's folder: how engine, shim and resolver speak to each other.
//!
//! # Invariants
//! - One writer for each file; every write is write-new, fsync, rename ([`store`]), also on a full
//!   disk where there is a record to replace. [`note`] leaves
//!   the folder's fsync out: after a loss of power the record may be the one before, but whole.
//! - Unknown fields are ignored and missing ones have defaults: older shims go on under a newer
//!   engine.
//! - A pid alone names nobody: [`Process`] carries its start time and the boot it belongs to.

pub use super::endpoint::Endpoint;
use keel_durable::Hold;
use keel_engine::{Digest, ExitCause, Failure, Health, PublishedPort, stored_failure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How far the engine got with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing is done yet.
    #[default]
    Pending,
    /// Image, volumes, networks are being made ready.
    Preparing,
    /// All is there, but no shim.
    Ready,
    /// The shim runs and its network is plumbed: it may start the process.
    Launched,
    /// It cannot be done; `message` says why.
    Rejected,
    /// It is being taken away.
    Removing,
}

/// The engine's record of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Work {
    /// How far it got.
    pub stage: Stage,
    /// The generation that this was done for.
    pub generation: u64,
    /// What failed last, or was left out.
    #[serde(flatten, with = "stored_failure")]
    pub message: Option<Failure>,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// When the task was assigned first; milliseconds since the epoch.
    pub created: u64,
    /// The image's manifest digest.
    pub digest: Option<Digest>,
    /// Layer folders, bottom first.
    pub layers: Vec<PathBuf>,
    /// The image's own health check and the task's, joined.
    pub health: Option<HealthPlan>,
    /// The signal that asks the process to end.
    pub stop_signal: Option<String>,
    /// Its place in each of its networks.
    pub endpoints: Vec<Endpoint>,
    /// Its ports, as published.
    pub ports: Vec<PublishedPort>,
    /// Anonymous volumes: path in the container → folder name below `volumes/`.
    pub anonymous: BTreeMap<String, String>,
    /// The shim.
    pub shim: Option<Process>,
    /// The generation for which a fresh run is wanted. The engine raises it to the assignment's
    /// generation, together with stage `Launched`, when the process is to be stopped and started
    /// anew (a person's restart, healing); then the shim counts restarts from 0 again. A higher
    /// generation of the assignment alone is an update in place: the shim takes over restart
    /// policy, health check, stop signal and grace period, and leaves the process alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub run: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The check that a shim runs, every default filled in. Milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// Program and arguments; a shell line is `/bin/sh -c LINE` already.
    pub command: Vec<String>,
    /// Between checks.
    pub interval: u64,
    /// How long one may take.
    pub timeout: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Failures within this time after the start do not count.
    pub start_period: u64,
    /// Between checks within the start period.
    pub start_interval: u64,
}

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// As the host sees it.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat.
    pub start_time: u64,
    /// /proc/sys/kernel/random/boot_id.
    pub boot: String,
}

impl Process {
    /// The process with this pid as it is now; `None` if there is none (or only a zombie).
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        // Longer than any line, and read at once: every look at every task asks this.
        let mut line = [0; 1024];
        let length = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
        let stat = String::from_utf8_lossy(&line[..length]);
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let status = fields.next()?;
        let start_time = fields.nth(18)?.parse().ok()?;
        (status != "Z" && status != "X").then(|| Self {
            pid,
            start_time,
            boot: keel_durable::boot_id(),
        })
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn lives(&self) -> bool {
        Self::find(self.pid).as_ref() == Some(self)
    }
}

/// What a shim's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// The shim is up; its network namespace exists; no process yet.
    #[default]
    Waiting,
    /// The process runs.
    Running,
    /// It ended and will run again at `next`.
    Backoff,
    /// It is out of service and about to be stopped.
    Draining,
    /// It ended for good; the shim is about to end, or has.
    Exited,
}

/// The shim's record of its process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShimState {
    /// What it does.
    pub activity: Activity,
    /// Generation of the assignment that the shim last read and goes by.
    pub generation: u64,
    /// [`Work::run`] that the last run was started for.
    pub run: u64,
    /// The shim itself: its network namespace is the task's.
    pub shim: Option<Process>,
    /// Process 1 of the container.
    pub process: Option<Process>,
    /// When the last run began; milliseconds since the epoch.
    pub started: Option<u64>,
    /// When the last run ended.
    pub finished: Option<u64>,
    /// How: 128 + signal where a signal ended it; 125 to 127 where it could not start.
    pub exit_code: Option<i32>,
    /// Why.
    pub exit_cause: Option<ExitCause>,
    /// Runs beyond the first within this generation.
    pub restarts: u32,
    /// When the next run begins.
    pub next: Option<u64>,
    /// What the check says.
    pub health: Health,
    /// Since when.
    pub health_since: Option<u64>,
    /// Failures in a row.
    pub failing: u32,
    /// Last lines of the check's output, at most 4 KiB.
    pub health_output: Option<String>,
    /// The last time that somebody else killed it: when, and by which signal. Kept across runs.
    pub killed: Option<(u64, i32)>,
    /// Why the last run could not start.
    #[serde(flatten, with = "stored_failure")]
    pub message: Option<Failure>,
}

/// Replaces a file whole, without waiting for the disk: for what is made anew after a reboot.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    keel_durable::replace(path, bytes, mode, Hold::Process)
}

/// Writes a record: write-new, fsync, rename. Readers see the old or the new, whole.
pub fn store<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(record)?;
    store_bytes(path, &bytes, 0o600)
}

/// The same where the record before would do as well after a loss of power: what it tells of are
/// processes, and none lives then. Half the waiting for the disk.
pub fn note<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    keel_durable::replace(path, &serde_json::to_vec(record)?, 0o600, Hold::Either)
}

/// As [`store`], for bytes, with the mode of the new file.
pub fn store_bytes(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    keel_durable::replace(path, bytes, mode, Hold::Power)
}

/// Reads a record; `None` where there is no file.
pub fn load<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match keel_durable::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::FailureKind;

    #[test]
    fn a_record_comes_back_and_unknown_fields_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("work");
        assert_eq!(load::<Work>(&path).unwrap(), None);
        let work = Work { stage: Stage::Launched, attempts: 2, ..Work::default() };
        store(&path, &work).unwrap();
        assert_eq!(load::<Work>(&path).unwrap(), Some(work));
        fs::write(&path, r#"{"stage":"ready","from-the-future":1}"#).unwrap();
        assert_eq!(load::<Work>(&path).unwrap().unwrap().stage, Stage::Ready);
    }

    /// Records of an older version have nothing but words there.
    #[test]
    fn failures_of_older_records_are_read() {
        let words = "port 80/tcp on 0.0.0.0 is taken by nginx (pid 7)";
        let old = format!(r#"{{"stage":"preparing","message":"{words}"}}"#);
        let work: Work = serde_json::from_str(&old).unwrap();
        assert_eq!(work.message, Some(words.into()));
        let state: ShimState =
            serde_json::from_str(&format!(r#"{{"message":"{words}"}}"#)).unwrap();
        assert_eq!(state.message.unwrap().to_string(), words);
        let waits = FailureKind::NoContainer { name: "db".into(), is_there: true };
        let work = Work { message: Some(waits.into()), ..Work::default() };
        let stored = serde_json::to_value(&work).unwrap();
        assert_eq!(
            stored["message"], "waits for the network of db",
            "as an older version reads it"
        );
        assert_eq!(serde_json::from_value::<Work>(stored).unwrap(), work);
    }

    #[test]
    fn a_pid_alone_names_nobody() {
        let me = Process::find(std::process::id()).unwrap();
        assert!(me.lives());
        assert!(!Process { start_time: me.start_time + 1, ..me.clone() }.lives());
        assert!(!Process { boot: "another".into(), ..me }.lives());
    }
}
