//! What runs beside containers, and inside of them: dispatched before anything is parsed or
//! started, so that it stays as small as it can be.

use keel_embedded::{Layout, resolver, shim};
use std::ffi::OsString;
use std::path::Path;

/// Runs a hidden command if the arguments (without the program's name) ask for one; its exit code.
pub fn dispatch(arguments: &[OsString]) -> Option<i32> {
    let (command, rest) = arguments.split_first()?;
    match command.to_str()? {
        "shim" | "enter" | "init" => shim::dispatch(arguments),
        "look" => Some(keel_embedded::look(rest)),
        "net" => rest.first().map(|root| resolver::main(&Layout::new(Path::new(root)))),
        "hello" => Some(crate::hello::main(rest)),
        _ => None,
    }
}
