//! The whole engine in the real kernel: its shims, its `keel net` and its image are this program.
//!
//! Needs root. An argument selects tests by a part of their name.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod adoption;
mod contract;
mod hotplug;
mod lab;
mod leases;
mod life;
mod person;
mod played;
#[expect(dead_code, reason = "more of a pool than these tests need")]
#[path = "../../../../pool/tests/transport/lab.rs"]
mod pool;
mod resources;
mod revisions;

use keel_embedded::Layout;
use std::ffi::OsString;
use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()> + Send>>);

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = keel_embedded::shim::dispatch(&arguments) {
        std::process::exit(code);
    }
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        ["net", root] => {
            std::process::exit(keel_embedded::resolver::main(&Layout::new(Path::new(root))))
        }
        ["hello", rest @ ..] => std::process::exit(played::play(rest)),
        ["reap", root, id] => runtime().block_on(lab::reap(root, id)),
        words if words.contains(&"--list") => {}
        words => {
            let filter = words.iter().find(|word| !word.starts_with('-'));
            std::process::exit(i32::from(!run(filter.copied().unwrap_or_default())));
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn run(filter: &str) -> bool {
    let groups = [
        contract::TESTS,
        hotplug::TESTS,
        life::TESTS,
        adoption::TESTS,
        leases::TESTS,
        person::TESTS,
        resources::TESTS,
        revisions::TESTS,
    ];
    let tests = groups.into_iter().flatten().filter(|(name, _)| name.contains(filter));
    let mut failed = Vec::new();
    for (name, test) in tests {
        let began = Instant::now();
        let runtime = runtime();
        let well = runtime.block_on(async { tokio::spawn(test()).await.is_ok() });
        drop(runtime);
        let verdict = if well { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict} ({} ms)", began.elapsed().as_millis());
        if !well {
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        println!("failed: {failed:?}");
    }
    failed.is_empty()
}
