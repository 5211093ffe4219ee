//! What those share who tell people and forges: the one that looks for news, and those that send it.

use super::book::Book;
use tokio::sync::{Mutex, Notify, watch};

/// What the loops of telling share.
#[derive(Default)]
pub(crate) struct Notifier {
    pub(super) bell: Notify,
    pub(super) letters: watch::Sender<()>,
    pub(super) kept: Mutex<Kept>,
}

/// The book, as it is and as it was stored. It is read when it is first needed.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) book: Option<Book>,
    pub(super) stored: Vec<u8>,
}

impl Notifier {
    /// Something may have changed: look soon.
    pub fn wake(&self) {
        self.bell.notify_one();
    }
}
