//! What of other people's words stays the same from one time to the next.

use keel_engine::{Failure, FailureKind, PortError, PortHolder};

/// A node's failure without what counts up from one time to the next.
#[must_use]
pub(crate) fn uncounted(failure: &Failure) -> Failure {
    let mut failure = failure.clone();
    failure.text = gist(&failure.text);
    if let FailureKind::Port(PortError::Taken { holder: PortHolder::Program { pid, .. }, .. }) =
        &mut failure.kind
    {
        *pid = 0;
    }
    failure
}

/// Words from elsewhere (a node's, an older version's record's), but for what counts up from one time to
/// the next: how often, and the number of a process.
#[must_use]
pub fn gist(text: &str) -> String {
    let mut gist = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let (digits, after) = number.split_at(end);
        gist.push_str(before);
        let counts = after.starts_with(" times") || before.ends_with("pid ");
        gist.push_str(if counts { "#" } else { digits });
        rest = after;
    }
    gist + rest
}
