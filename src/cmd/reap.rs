//! `keel reap`: hidden. A shim starts it as its last act, so that what was to be removed at its end
//! is removed where nobody drives the root.

use crate::connect::drive_until_idle;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root;
use std::path::PathBuf;

/// The arguments of `keel reap`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The root
    root: PathBuf,
    /// Whose end it was: for people who look at the list of processes
    task: String,
}

/// Runs `keel reap`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let mut global = context.global.clone();
    global.root = args.root;
    let context = Context::new(global, context.files.clone());
    keel_embedded::leave_shims(&root::layout(&context.global.root));
    drive_until_idle(&context, &format!("keel reap {}", args.task)).await
}
