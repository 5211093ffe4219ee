//! `keel network ls | create | rm | inspect`.

use crate::args::{Format, Listing, pair};
use crate::cmd::gone;
use crate::cmd::inspect;
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{Table, json};
use ipnet::IpNet;
use keel_engine::{NetworkSpec, PoolSpec};
use keel_reconciler::rows::{InspectKind, NetworkAsk, NetworkRow, RemoveAsk};
use std::net::IpAddr;

/// The subcommands of `keel network`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List networks
    #[command(visible_alias = "list", after_help = "Example:\n  keel network ls")]
    Ls(Ls),
    /// Create a network
    #[command(after_help = "Example:\n  keel network create --subnet 10.9.0.0/24 proxy")]
    Create(Create),
    /// Remove networks
    #[command(visible_alias = "remove", after_help = "Example:\n  keel network rm proxy")]
    Rm(Rm),
    /// Show the details of networks
    #[command(after_help = "Example:\n  keel network inspect lan")]
    Inspect(Inspect),
}

/// `network inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Their names
    #[arg(required = true, value_name = "NETWORK")]
    names: Vec<String>,
}

/// `network ls`.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Print ids only
    #[arg(short = 'q')]
    ids: bool,
    /// Do not truncate ids
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    listing: Listing,
}

/// `network create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The driver
    #[arg(short, long, default_value = "bridge", value_name = "DRIVER")]
    driver: String,
    /// Restrict access to the outside
    #[arg(long)]
    internal: bool,
    /// Subnet, such as 10.9.0.0/24
    #[arg(long, value_name = "SUBNET", value_parser = subnet)]
    subnet: Option<IpNet>,
    /// Address of the gateway
    #[arg(long, value_name = "IP", value_parser = address)]
    gateway: Option<IpAddr>,
    /// Set a label
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

/// `network rm`.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// Do not fail if it does not exist
    #[arg(short, long)]
    force: bool,
    /// Their names or ids
    #[arg(required = true, value_name = "NETWORK")]
    names: Vec<String>,
}

fn subnet(text: &str) -> std::result::Result<IpNet, String> {
    let read = keel_names::address::subnet(text).filter(|subnet| subnet.addr().is_ipv4());
    read.ok_or_else(|| "it is an IPv4 network, as 10.5.0.0/16".to_owned())
}

fn address(text: &str) -> std::result::Result<IpAddr, String> {
    let read = text.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4);
    read.ok_or_else(|| "it is an IPv4 address, as 10.5.0.1".to_owned())
}

/// Runs `keel network`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Ls(args) => list(args, context).await,
        Command::Create(args) => create(args, context).await,
        Command::Rm(args) => remove(args, context).await,
        Command::Inspect(args) => {
            inspect::show(context, &args.names, Some(InspectKind::Network)).await
        }
    }
}

async fn list(args: Ls, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel network ls").await?;
    let rows = connection.client.networks().await?;
    connection.close().await;
    let id = |row: &NetworkRow| match args.no_trunc {
        true => row.id.clone(),
        false => keel_engine::short(&row.id).to_owned(),
    };
    let text = match args.listing.format {
        Format::Json => json::render(&rows),
        Format::Table if args.ids || context.screen.quiet() => {
            rows.iter().map(|row| format!("{}\n", id(row))).collect()
        }
        Format::Table => {
            let mut table = Table::new(["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
            for row in &rows {
                table.row([id(row), row.name.clone(), row.driver.clone(), row.scope.clone()]);
            }
            table.with_nodes(rows.iter().map(|row| row.node.as_str())).render()
        }
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}

async fn create(args: Create, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel network create").await?;
    let pool = PoolSpec { subnet: args.subnet, gateway: args.gateway };
    let pool = (pool != PoolSpec::default()).then_some(pool);
    let spec = NetworkSpec {
        name: args.name,
        driver: args.driver,
        internal: args.internal,
        pools: pool.into_iter().collect(),
        auto_remove: false,
        labels: args.label.into_iter().collect(),
    };
    let id = connection.client.create_network(&NetworkAsk { spec }).await?;
    connection.close().await;
    context.screen.data(&id)?;
    Ok(Exit::Done)
}

async fn remove(args: Rm, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel network rm").await?;
    let client = &connection.client;
    let remove = async |ask: &RemoveAsk| client.remove_networks(ask).await;
    let gone = gone::remove(&args.names, args.force, context, remove).await;
    connection.close().await;
    gone?.iter().try_for_each(|name| context.screen.data(name))?;
    Ok(Exit::Done)
}
