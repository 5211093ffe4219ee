//! Containers in the real kernel: each test runs shims, which are this very program.
//!
//! Needs root and `/bin/busybox` (static). An argument selects tests by a part of their name.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod basics;
mod lab;
mod life;
mod limits;
mod people;
mod security;
mod stubborn;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

type Test = (&'static str, fn(&lab::Lab));

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = keel_embedded::shim::dispatch(&arguments) {
        std::process::exit(code);
    }
    if arguments.first().is_some_and(|word| word == "reap") {
        let at = std::path::Path::new(&arguments[1]).join("reaped");
        std::fs::write(at, arguments[2].to_str().unwrap()).unwrap();
        return;
    }
    let filter =
        arguments.iter().find_map(|word| word.to_str().filter(|word| !word.starts_with('-')));
    if arguments.iter().any(|word| word == "--list") {
        return;
    }
    std::process::exit(i32::from(!run(filter.unwrap_or_default())));
}

fn run(filter: &str) -> bool {
    let groups = [
        basics::TESTS,
        limits::TESTS,
        security::TESTS,
        life::TESTS,
        people::TESTS,
        stubborn::TESTS,
    ];
    let tests = groups.into_iter().flatten().filter(|(name, _)| name.contains(filter));
    let mut failed = Vec::new();
    let lab = lab::Lab::open();
    for (name, test) in tests {
        let began = Instant::now();
        let well = catch_unwind(AssertUnwindSafe(|| test(&lab))).is_ok();
        let verdict = if well { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict} ({} ms)", began.elapsed().as_millis());
        if !well {
            failed.push(*name);
        }
    }
    let clean = catch_unwind(AssertUnwindSafe(|| lab.close())).is_ok();
    if !failed.is_empty() || !clean {
        println!("failed: {failed:?}{}", if clean { "" } else { ", and something was left over" });
    }
    failed.is_empty() && clean
}
