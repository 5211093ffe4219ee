//! The page of limits has the numbers that the code has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keel_engine::Value;
use std::time::Duration;

fn bytes(count: u64) -> String {
    Value::Bytes(count).to_string()
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs())
}

/// What is limited, and by what number.
fn rows() -> Vec<(&'static str, String)> {
    use keel_api::limits as api;
    use keel_embedded::limits as names;
    use keel_notify::limits as told;
    use keel_reconciler::limits as git;
    let hooks = keel_webhooks::Limits::default();
    vec![
        ("Git: names of branches and tags", bytes(git::GIT_ADVERTISEMENT)),
        (
            "Git: branches and tags that are searched for a pinned commit",
            git::GIT_REFERENCES.to_string(),
        ),
        ("Git: words beside the packs of a fetch (progress)", bytes(git::GIT_TALK)),
        ("Git: packs of a fetch, files of a checkout (`max-size`)", bytes(git::GIT_SIZE)),
        (
            "Git: objects of a pack, one for so much of `max-size`",
            bytes(git::GIT_BYTES_FOR_AN_OBJECT),
        ),
        ("Git: one file, unpacked", bytes(git::GIT_OBJECT)),
        ("Git: all objects of a pack, unpacked, in `max-size`", git::GIT_UNPACKED.to_string()),
        ("Git: until a server has told its branches and tags", seconds(git::GIT_FIRST_WORD)),
        ("Git: silence of a server", seconds(git::GIT_SILENCE)),
        ("Git: a server is too slow below 64KiB in", seconds(git::GIT_SLOW)),
        ("Git: a whole fetch", seconds(git::GIT_FETCH)),
        ("Git: what `ssh` complains of", bytes(git::GIT_COMPLAINT)),
        ("Git: files and folders of a checkout", git::CHECKOUT_ENTRIES.to_string()),
        ("Git: folders within folders of a checkout", git::CHECKOUT_DEPTH.to_string()),
        ("Git: submodules of a checkout", git::SUBMODULES.to_string()),
        ("Git: submodules within submodules", git::SUBMODULE_DEPTH.to_string()),
        ("Git: a `.gitmodules`", bytes(git::GITMODULES)),
        ("Socket: connections that say nothing yet", api::WAITING.to_string()),
        ("Socket: requests that are answered at a time", api::REQUESTS.to_string()),
        ("Socket: logs, sessions and other streams at a time", api::STREAMS.to_string()),
        ("Socket: connections in all", api::CONNECTIONS.to_string()),
        ("Socket: large submissions at a time", api::SUBMISSIONS.to_string()),
        ("Socket: until a request's headers are there", seconds(api::HEADERS)),
        ("Socket: until a request's body is there", seconds(api::BODY_TIME)),
        ("Socket: until more of an answer is taken", seconds(api::TAKEN)),
        ("Socket: headers of a request", bytes(api::HEADERS_SIZE as u64)),
        ("Socket: body of a request", bytes(api::BODY as u64)),
        ("Socket: body of a submission", bytes(api::SUBMISSION as u64)),
        ("Webhooks: body", bytes(hooks.body)),
        ("Webhooks: until the headers are there", seconds(hooks.headers)),
        ("Webhooks: until everything is said", seconds(hooks.whole)),
        ("Webhooks: connections at a time", hooks.connections.to_string()),
        ("Names: questions of a container that wait at a time", names::NAMES_IN_FLIGHT.to_string()),
        ("Names: silence of a TCP connection", seconds(names::NAMES_IDLE)),
        ("Notifications: until a receiver is reached", seconds(told::CONNECT)),
        ("Notifications: all of a request and its answer", seconds(told::WHOLE)),
        ("Notifications: what of an answer is read", bytes(told::BODY as u64)),
        ("Notifications: how long a receiver may have us wait", seconds(told::LONGEST_WAIT)),
    ]
}

#[test]
fn the_page_has_the_numbers_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(TABLE).expect("the table is there");
    let end = rest.find("\n\n").unwrap_or(rest.len());
    let rows =
        rows().iter().map(|(what, most)| format!("| {what} | {most} |\n")).collect::<String>();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let after = &rest[end..];
        std::fs::write(path, format!("{before}{TABLE}{}{after}", rows.trim_end())).unwrap();
        return;
    }
    assert_eq!(rest[..end].trim_end(), rows.trim_end(), "UPDATE_DOCS=1 writes it anew");
}

const TABLE: &str = "| what | at most |\n|---|---|\n";
