//! `keel volume ls | create | rm | inspect`.

use crate::args::{Format, Listing, pair};
use crate::cmd::gone;
use crate::cmd::inspect;
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{Table, json};
use keel_engine::VolumeSpec;
use keel_reconciler::rows::{InspectKind, RemoveAsk, VolumeAsk};

/// The subcommands of `keel volume`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List volumes
    #[command(visible_alias = "list", after_help = "Example:\n  keel volume ls")]
    Ls(Ls),
    /// Create a volume
    #[command(after_help = "Example:\n  keel volume create media")]
    Create(Create),
    /// Remove volumes, with all their data
    #[command(visible_alias = "remove", after_help = "Example:\n  keel volume rm media")]
    Rm(Rm),
    /// Show the details of volumes
    #[command(after_help = "Example:\n  keel volume inspect media")]
    Inspect(Inspect),
}

/// `volume inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Their names
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
}

/// `volume ls`.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Print names only
    #[arg(short = 'q')]
    names: bool,
    #[command(flatten)]
    listing: Listing,
}

/// `volume create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The driver
    #[arg(short, long, default_value = "local", value_name = "DRIVER")]
    driver: String,
    /// Option for the driver
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    opt: Vec<(String, String)>,
    /// Set a label
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Name of the volume [default: a generated one]
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// `volume rm`.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// Do not fail if it does not exist
    #[arg(short, long)]
    force: bool,
    /// Their names
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
}

/// Runs `keel volume`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Ls(args) => list(args, context).await,
        Command::Create(args) => create(args, context).await,
        Command::Rm(args) => remove(args, context).await,
        Command::Inspect(args) => {
            inspect::show(context, &args.names, Some(InspectKind::Volume)).await
        }
    }
}

async fn list(args: Ls, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel volume ls").await?;
    let rows = connection.client.volumes().await?;
    connection.close().await;
    let text = match args.listing.format {
        Format::Json => json::render(&rows),
        Format::Table if args.names || context.screen.quiet() => {
            rows.iter().map(|row| format!("{}\n", row.name)).collect()
        }
        Format::Table => {
            let mut table = Table::new(["DRIVER", "VOLUME NAME"]);
            rows.iter().for_each(|row| table.row([row.driver.clone(), row.name.clone()]));
            table.with_nodes(rows.iter().map(|row| row.node.as_str())).render()
        }
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}

async fn create(args: Create, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel volume create").await?;
    let spec = VolumeSpec {
        name: args.name.unwrap_or_default(),
        driver: args.driver,
        driver_opts: args.opt.into_iter().collect(),
        labels: args.label.into_iter().collect(),
    };
    let name = connection.client.create_volume(&VolumeAsk { spec }).await?;
    connection.close().await;
    context.screen.data(&name)?;
    Ok(Exit::Done)
}

async fn remove(args: Rm, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel volume rm").await?;
    let client = &connection.client;
    let remove = async |ask: &RemoveAsk| client.remove_volumes(ask).await;
    let gone = gone::remove(&args.names, args.force, context, remove).await;
    connection.close().await;
    gone?.iter().try_for_each(|name| context.screen.data(name))?;
    Ok(Exit::Done)
}
