//! Hints at changes of the files that records are, by whatever process.

use super::listing::key_of;
use super::{RecordHint, Result, StoreError};
use futures_util::stream::{BoxStream, unfold};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Hints at changes below this root, of keys that begin with this, for as long as the stream is held.
pub(super) fn watch(root: &Path, prefix: String) -> Result<BoxStream<'static, RecordHint>> {
    let failed =
        |error: notify::Error| StoreError::Watch { path: root.to_owned(), why: error.to_string() };
    let (hints, heard) = mpsc::unbounded_channel();
    let teller = Teller { root: root.to_owned(), prefix, hints };
    let mut watcher =
        notify::recommended_watcher(move |event| teller.tell(event)).map_err(failed)?;
    watcher.watch(root, RecursiveMode::Recursive).map_err(failed)?;
    Ok(Box::pin(unfold((watcher, heard), next)))
}

type Heard = (RecommendedWatcher, UnboundedReceiver<RecordHint>);

async fn next((watcher, mut heard): Heard) -> Option<(RecordHint, Heard)> {
    let hint = heard.recv().await?;
    Some((hint, (watcher, heard)))
}

struct Teller {
    root: std::path::PathBuf,
    prefix: String,
    hints: UnboundedSender<RecordHint>,
}

impl Teller {
    /// Whoever listened may be gone.
    fn tell(&self, event: notify::Result<Event>) {
        let Ok(event) = event else { return drop(self.hints.send(RecordHint::Anything)) };
        if matches!(event.kind, EventKind::Access(kind) if !is_written(kind)) {
            return;
        }
        if event.need_rescan() {
            return drop(self.hints.send(RecordHint::Anything));
        }
        for path in &event.paths {
            match key_of(&self.root, path) {
                Some(key) if key.starts_with(&self.prefix) => {
                    drop(self.hints.send(RecordHint::Key(key)))
                }
                Some(_) => {}
                None if is_hidden(&self.root, path) => {}
                // A folder with all that is in it.
                None => drop(self.hints.send(RecordHint::Anything)),
            }
        }
    }
}

fn is_written(kind: notify::event::AccessKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    kind == AccessKind::Close(AccessMode::Write)
}

/// What is no record: the lock, the counter, files that are being written.
fn is_hidden(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.iter().any(|word| word.as_encoded_bytes().starts_with(b"."))
}
