//! `keel logout`: who we are at a registry is forgotten.

use super::login::registry;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::credentials;
use keel_images::Credentials;

/// The arguments of `keel logout`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel logout registry.example.org")]
pub struct Args {
    /// The registry; Docker Hub unless given
    #[arg(default_value = "docker.io", value_name = "REGISTRY")]
    registry: String,
}

/// Runs `keel logout`.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let (registry, path) = (registry(&args.registry), credentials());
    let known = Credentials::file(&path).forget(registry).map_err(|error| {
        Failure::caused(format!("cannot forget the login for {registry}"), &error)
    })?;
    context.screen.say(&match known {
        true => format!("logged out of {registry}"),
        false => format!("not logged in to {registry}: {} has no login for it", path.display()),
    });
    Ok(Exit::Done)
}
