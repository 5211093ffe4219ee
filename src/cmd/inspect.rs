//! `keel inspect`: everything about one thing, in docker's shape.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::json;
use clap::ValueEnum;
use keel_reconciler::rows::InspectKind;

/// The arguments of `keel inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel inspect shop-web-1")]
pub struct Args {
    /// Kind of object [default: the first kind that has the name]
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Only `json`
    #[arg(long, value_parser = ["json"], default_value = "json", value_name = "FORMAT")]
    format: String,
    /// Names or ids
    #[arg(required = true, value_name = "NAME|ID")]
    targets: Vec<String>,
}

/// Kinds of things.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

/// Runs `keel inspect`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let kind = args.kind.map(|kind| match kind {
        Kind::Container => InspectKind::Container,
        Kind::Image => InspectKind::Image,
        Kind::Network => InspectKind::Network,
        Kind::Volume => InspectKind::Volume,
    });
    show(context, &args.targets, kind).await
}

/// Things of one kind, or whatever has the name.
pub async fn show(
    context: &Context,
    targets: &[String],
    kind: Option<InspectKind>,
) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel inspect").await?;
    let mut found = Vec::new();
    for target in targets {
        found.push(connection.client.inspect(target, kind).await?);
    }
    connection.close().await;
    let text = match found.as_slice() {
        [only] => json::render(only),
        many => json::render(&many),
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}
