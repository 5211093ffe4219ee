//! Whom it is told what is waited for.

use crate::ask::Acting;
use tokio::sync::mpsc;

/// Whom it is told what is waited for.
pub(super) struct Teller(pub(super) Option<mpsc::UnboundedSender<Acting>>);

impl Teller {
    pub(super) fn tell(&self, acting: Acting) {
        // Nobody may listen.
        let _ = self.0.as_ref().map(|lines| lines.send(acting));
    }
}
