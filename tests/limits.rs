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
        ("Git: list of branches and tags", bytes(git::GIT_ADVERTISEMENT)),
        ("Git: branches and tags searched for a pinned commit", git::GIT_REFERENCES.to_string()),
        ("Git: progress output of a fetch", bytes(git::GIT_TALK)),
        ("Git: packs of a fetch, files of a checkout (`max-size`)", bytes(git::GIT_SIZE)),
        (
            "Git: objects of a pack, one for each part of `max-size` of",
            bytes(git::GIT_BYTES_FOR_AN_OBJECT),
        ),
        ("Git: one file, unpacked", bytes(git::GIT_OBJECT)),
        (
            "Git: all objects of a pack, unpacked, as a multiple of `max-size`",
            git::GIT_UNPACKED.to_string(),
        ),
        ("Git: time until a server has sent its branches and tags", seconds(git::GIT_FIRST_WORD)),
        ("Git: silence of a server", seconds(git::GIT_SILENCE)),
        ("Git: time in which a server must send at least 64KiB", seconds(git::GIT_SLOW)),
        ("Git: time for a complete fetch", seconds(git::GIT_FETCH)),
        ("Git: error output of `ssh`", bytes(git::GIT_COMPLAINT)),
        ("Git: files and folders of a checkout", git::CHECKOUT_ENTRIES.to_string()),
        ("Git: folder depth of a checkout", git::CHECKOUT_DEPTH.to_string()),
        ("Git: submodules of a checkout", git::SUBMODULES.to_string()),
        ("Git: submodule depth", git::SUBMODULE_DEPTH.to_string()),
        ("Git: size of `.gitmodules`", bytes(git::GITMODULES)),
        ("Socket: connections without a request", api::WAITING.to_string()),
        ("Socket: simultaneous requests", api::REQUESTS.to_string()),
        ("Socket: simultaneous logs, sessions and other streams", api::STREAMS.to_string()),
        ("Socket: connections in all", api::CONNECTIONS.to_string()),
        ("Socket: simultaneous large submissions", api::SUBMISSIONS.to_string()),
        ("Socket: time until a request's headers have arrived", seconds(api::HEADERS)),
        ("Socket: time until a request's body has arrived", seconds(api::BODY_TIME)),
        ("Socket: time until a client reads more of a response", seconds(api::TAKEN)),
        ("Socket: headers of a request", bytes(api::HEADERS_SIZE as u64)),
        ("Socket: body of a request", bytes(api::BODY as u64)),
        ("Socket: body of a submission", bytes(api::SUBMISSION as u64)),
        ("Webhooks: body", bytes(hooks.body)),
        ("Webhooks: time until the headers have arrived", seconds(hooks.headers)),
        ("Webhooks: time until the request is complete", seconds(hooks.whole)),
        ("Webhooks: simultaneous connections", hooks.connections.to_string()),
        ("DNS: pending queries of a container", names::NAMES_IN_FLIGHT.to_string()),
        ("DNS: silence of a TCP connection", seconds(names::NAMES_IDLE)),
        ("Notifications: time to connect to a recipient", seconds(told::CONNECT)),
        ("Notifications: time for a complete request and response", seconds(told::WHOLE)),
        ("Notifications: response size that is read", bytes(told::BODY as u64)),
        ("Notifications: longest accepted `Retry-After`", seconds(told::LONGEST_WAIT)),
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
    assert_eq!(rest[..end].trim_end(), rows.trim_end(), "UPDATE_DOCS=1 updates the table");
}

const TABLE: &str = "| what | at most |\n|---|---|\n";
