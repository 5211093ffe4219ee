//! Who is told: a row for each kind.

mod ntfy;
mod told;
mod webhook;

#[cfg(test)]
use crate::message::Message;
pub use told::{Receiver, Target};

/// All of them, by name.
pub const RECEIVERS: &[Receiver] = &[webhook::RECEIVER, ntfy::RECEIVER];

impl Receiver {
    /// The one of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        RECEIVERS.iter().find(|receiver| receiver.name == name)
    }
}

#[cfg(test)]
pub(crate) fn sample(kind: crate::Kind) -> Message {
    Message {
        id: "18c-1".into(),
        incident: "18c-0".into(),
        kind,
        host: "shop".into(),
        stack: "web".into(),
        stacks: vec!["web".into()],
        source: "home".into(),
        revision: "3f9c2a1b5d7e9f0011223344556677889900aabb".into(),
        author: "Ann <ann@example.org>".into(),
        subject: "Faster".into(),
        reason: "web.1 exited (1) 3 times".into(),
        tried: "revision 1b5d7e9f3f9c runs instead".into(),
        since: "2026-01-02T03:04:05Z".into(),
        at: "2026-01-02T03:04:35Z".into(),
        commands: vec!["keel history show 7".into(), "keel sync web --retry".into()],
        findings: vec![],
        title: "web failed on shop".into(),
        text: "web failed on shop: web.1 exited (1) 3 times".into(),
    }
}
