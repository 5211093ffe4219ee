//! Content on its way to a node: as a stream, whatever its size.

use crate::lab::{Lab, Node, with_causes};
use keel_engine::tree::{EntryKind, Files, Tree, TreeEntry, digest_by};
use keel_engine::{Assignment, Content, Depth, Digest, Engine};
use keel_pool::transport::{Far, Limits};
use keel_testing::fake::Fake;
use keel_testing::waiting::in_time;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No message may have as much as a tenth of what is sent here.
async fn node() -> (Lab, Node, Arc<Far>, Arc<Fake>) {
    let lab = Lab::start(Limits { message: 100_000, ..Limits::default() }).await;
    let fake = Arc::new(Fake::new("n1"));
    let (agent, far) = lab.connect("n1", fake.clone()).await;
    (lab, agent, far, fake)
}

/// Files of a folder on disk.
struct OnDisk(tempfile::TempDir);

impl Files for OnDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.path().join(path))
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        File::open(self.0.path().join(path)).map(Some)
    }
}

fn file(path: &str, size: u64) -> TreeEntry {
    TreeEntry { path: path.into(), kind: EntryKind::File { executable: false, size } }
}

#[tokio::test]
async fn a_tree_larger_than_any_message_arrives() {
    let (_lab, _agent, far, fake) = node().await;
    let folder = tempfile::tempdir().unwrap();
    let large = 70 << 20;
    File::create(folder.path().join("large")).unwrap().set_len(large).unwrap();
    std::fs::write(folder.path().join("small"), "small").unwrap();
    let root = TreeEntry { path: PathBuf::new(), kind: EntryKind::Folder };
    let entries = vec![root, file("large", large), file("small", 5)];
    let content = |path: &Path| {
        let file = File::open(folder.path().join(path))?;
        Digest::of_reader(file).map(|(digest, _)| digest)
    };
    let digest = digest_by(&entries, content).unwrap();
    let tree = Tree::new(digest, entries, Arc::new(OnDisk(folder))).unwrap();
    let wishes = [Assignment::Tree(tree)];
    in_time("it is handed over", far.assign(&wishes)).await.unwrap();
    let arrived = fake.tree_file(&digest, "large").unwrap();
    assert_eq!(arrived.len() as u64, large);
    assert_eq!(fake.tree_file(&digest, "small").unwrap(), b"small");
}

#[tokio::test]
async fn content_larger_than_any_message_arrives() {
    let (_lab, _agent, far, fake) = node().await;
    let content = Content::of((0..=255).cycle().take(5 << 20).collect::<Vec<u8>>());
    let (digest, bytes) = (content.digest, content.bytes.to_vec());
    far.assign(&[Assignment::Content(content)]).await.unwrap();
    assert_eq!(fake.content(&digest), Some(bytes));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_and_costs_no_more_than_its_call() {
    let (_lab, _agent, far, fake) = node().await;
    let root = TreeEntry { path: PathBuf::new(), kind: EntryKind::Folder };
    let entries = vec![root, file("gone", 5)];
    let files = Arc::new(OnDisk(tempfile::tempdir().unwrap()));
    let tree = Tree::new(Digest::of(b"x"), entries, files).unwrap();
    let wishes = [Assignment::Content(Content::of(*b"before")), Assignment::Tree(tree)];
    let error = with_causes(&far.assign(&wishes).await.unwrap_err());
    assert!(error.contains("cannot read gone to send it to a node"), "{error}");
    assert!(error.contains("No such file"), "{error}");
    far.observe(Depth::State).await.unwrap();
    assert_eq!(fake.content(&Digest::of(b"before")), None, "a parcel is taken whole or not at all");
}
