//! Files of a revision, as tasks see them.

use crate::Test;
use crate::lab::Lab;
use crate::person::kill;
use keel_engine::tree::{self, EntryKind, Tree, TreeEntry};
use keel_engine::{
    Assignment, Digest, Engine, FailureKind, Mount, MountError, MountSource, ObservedTask, Phase,
    RestartPolicy, TaskAssignment,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const TESTS: &[Test] = &[
    ("files_arrive_and_a_link_leads_nowhere_else", || {
        Box::pin(files_arrive_and_a_link_leads_nowhere_else())
    }),
    ("nobody_writes_the_files_of_a_revision", || Box::pin(nobody_writes_the_files_of_a_revision())),
    ("a_task_of_an_earlier_version_keeps_its_checkout", || {
        Box::pin(a_task_of_an_earlier_version_keeps_its_checkout())
    }),
];

/// A page, and a link to where every host has something else than a container.
fn files() -> Tree {
    let entry = |path: &str, kind| TreeEntry { path: path.into(), kind };
    let entries = vec![
        entry("", EntryKind::Folder),
        entry("out", EntryKind::Link("/etc/hostname".into())),
        entry("page", EntryKind::File { executable: false, size: 4 }),
        entry("up", EntryKind::Link("../../../../../../../etc/hostname".into())),
    ];
    let digest = tree::digest_by(&entries, |_| Ok(Digest::of(b"page"))).unwrap();
    let content = BTreeMap::from([(PathBuf::from("page"), b"page".to_vec())]);
    Tree::new(digest, entries, Arc::new(content)).unwrap()
}

/// Mounted for writing, whatever that is worth.
fn mounting(mut wish: TaskAssignment, path: &Path, digest: Digest) -> TaskAssignment {
    let path = path.to_str().unwrap().to_owned();
    Arc::make_mut(&mut wish.spec).volumes.push(Mount {
        source: MountSource::Revision { path, digest, tree: None },
        target: "/data".into(),
        read_only: false,
        shared: false,
        propagation: None,
        digest: None,
    });
    wish
}

async fn said(lab: &Lab, words: &[&str]) -> (String, Option<i32>) {
    let wish = mounting(lab.task(words.join(" ").as_str(), words), Path::new(""), files().digest);
    lab.assign(&wish).await;
    let ended = lab.until_phase(&wish, Phase::Exited).await;
    let said = lab.logs(&wish).await;
    lab.remove(&wish).await;
    (said, ended.exit_code)
}

async fn files_arrive_and_a_link_leads_nowhere_else() {
    let lab = Lab::open().await;
    let wish = mounting(lab.task("reads", &["cat", "/data/page"]), Path::new(""), files().digest);
    lab.assign(&wish).await;
    let waits = |task: &ObservedTask| task.message.is_some();
    let task = lab.until_task(&wish, "it waits for its files", waits).await;
    let awaited = MountError::FilesAwaited { target: "/data".into() };
    assert_eq!(task.message, Some(FailureKind::Mount(awaited).into()));
    lab.engine().assign(&[Assignment::Tree(files())]).await.unwrap();
    lab.until_phase(&wish, Phase::Exited).await;
    assert_eq!(lab.logs(&wish).await, "page");
    for link in ["/data/out", "/data/up"] {
        let (hostname, _) = said(&lab, &["cat", link]).await;
        let task = lab.task(&format!("cat {link}"), &[]);
        assert_eq!(hostname.trim(), task.id.short(), "{link} is the container's own");
    }
    lab.clean().await;
}

async fn nobody_writes_the_files_of_a_revision() {
    let lab = Lab::open().await;
    lab.engine().assign(&[Assignment::Tree(files())]).await.unwrap();
    for path in ["/data/page", "/data/new"] {
        let (_, code) = said(&lab, &["write", path, "changed"]).await;
        assert_ne!(code, Some(0), "{path} is written");
    }
    assert_eq!(said(&lab, &["cat", "/data/page"]).await, ("page".to_owned(), Some(0)));
    lab.clean().await;
}

async fn a_task_of_an_earlier_version_keeps_its_checkout() {
    let mut lab = Lab::open().await;
    let checkout = tempfile::tempdir().unwrap();
    let page = checkout.path().join("page");
    std::fs::write(&page, "of the checkout").unwrap();
    let digest = Digest::of(b"page");
    let mut wish = mounting(lab.task("web", &["cat", "/data"]), &page, digest);
    Arc::make_mut(&mut wish.spec).restart = RestartPolicy::No;
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Exited).await;
    assert_eq!(lab.logs(&wish).await, "of the checkout");
    let mut stays = mounting(lab.task("stays", &[]), &page, digest);
    Arc::make_mut(&mut stays.spec).restart = RestartPolicy::Always;
    lab.assign(&stays).await;
    let first = lab.until_phase(&stays, Phase::Running).await;
    lab.reopen().await;
    let mut now = mounting(lab.task("stays", &[]), Path::new(""), digest);
    now.generation = 2;
    let spec = Arc::make_mut(&mut now.spec);
    (spec.restart, spec.mem_limit) = (RestartPolicy::Always, Some(64 << 20));
    lab.assign(&now).await;
    let changed = |task: &ObservedTask| task.generation == 2 && task.phase == Phase::Running;
    let second = lab.until_task(&stays, "its limit is changed", changed).await;
    assert_eq!(second.pid, first.pid, "nothing is restarted");
    let source = &second.spec.volumes[0].source;
    assert_eq!(source.checkout_path(), page.to_str(), "whoever makes room reads it there");
    kill(second.pid.unwrap());
    let again = |task: &ObservedTask| {
        task.phase == Phase::Running && task.pid.is_some() && task.pid != first.pid
    };
    lab.until_task(&stays, "it runs again", again).await;
    lab.clean().await;
}
