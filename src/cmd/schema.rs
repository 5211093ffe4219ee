//! `keel schema`: JSON Schemas for editors.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::json;
use clap::ValueEnum;
use keel_spec::schema;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel schema compose > compose.schema.json\n  keel schema x-keel\n  keel schema config\n\nEditors with a YAML language server read it by the first line of a Compose file:\n  # yaml-language-server: $schema=./compose.schema.json"
)]
pub struct Args {
    /// Of what
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Compose files, with Evenkeel's own keys
    Compose,
    /// Evenkeel's own keys alone
    #[value(name = "x-keel")]
    XKeel,
    /// `keel.yaml`
    Config,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let schema = match args.what {
        What::Compose => schema::compose(),
        What::XKeel => schema::x_keel(),
        What::Config => keel_reconciler::config::schema(),
    };
    context.screen.data(&json::render(&schema))?;
    Ok(Exit::Done)
}
