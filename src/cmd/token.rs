//! `keel token create | ls | rm`: what a machine joins the pool with.

use crate::args::{Format, Listing, pair};
use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::root;
use crate::show::{Table, json};
use keel_api::pool::{TokenAnswer, TokenAsk, TokenRow};
use keel_reconciler::config::parse_duration;
use std::time::Duration;

/// The subcommands of `keel token`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Create a token, and print the command for the other machine
    #[command(after_help = "Example:\n  keel token create --ttl 1h --label zone=a")]
    Create(Create),
    /// List tokens
    #[command(visible_alias = "list", after_help = "Example:\n  keel token ls")]
    Ls(Ls),
    /// Revoke tokens; nodes that joined with them stay
    #[command(visible_alias = "revoke", after_help = "Example:\n  keel token rm 3f9c2a1b")]
    Rm(Rm),
}

/// `token create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// How long it may be used
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = duration)]
    ttl: Duration,
    /// How many machines may join with it
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// Label of the nodes that join with it
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
}

/// `token ls`.
#[derive(Debug, clap::Args)]
pub struct Ls {
    #[command(flatten)]
    listing: Listing,
}

/// `token rm`.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// Their IDs
    #[arg(required = true, value_name = "TOKEN")]
    ids: Vec<String>,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    let length = parse_duration(text).filter(|length| !length.is_zero());
    length.ok_or_else(|| "a duration such as 30m, 12h or 7d".to_owned())
}

/// Runs `keel token`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Create(args) => create(args, context).await,
        Command::Ls(args) => list(args, context).await,
        Command::Rm(args) => remove(args, context).await,
    }
}

async fn create(args: Create, context: &Context) -> Result<Exit> {
    let ask = TokenAsk {
        ttl: u64::try_from(args.ttl.as_millis()).unwrap_or(u64::MAX),
        uses: args.uses,
        labels: args.labels.into_iter().collect(),
        creator: root::person(),
    };
    let connection = to_daemon(context, "keel token create").await?;
    let answer = connection.client.create_token(&ask).await?;
    connection.close().await;
    // What is asked for is the line; `--quiet` is for programs that want the token alone.
    if context.screen.quiet() {
        context.screen.data(&answer.token)?;
        return Ok(Exit::Done);
    }
    context.screen.say("run this on the other machine, as root:");
    context.screen.data(&line(&answer))?;
    Ok(Exit::Done)
}

fn line(answer: &TokenAnswer) -> String {
    let TokenAnswer { token, listen } = answer;
    let port = listen.rsplit_once(':').map_or("7443", |(_, port)| port);
    let host = match listen.rsplit_once(':').map(|(host, _)| host) {
        // It listens everywhere: by its name it is found from elsewhere, most probably.
        Some("0.0.0.0" | "[::]") | None => root::node().to_string(),
        Some(host) => host.to_owned(),
    };
    format!("keel agent --join {host}:{port} --token {token}")
}

async fn list(args: Ls, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel token ls").await?;
    let rows = connection.client.tokens().await?;
    connection.close().await;
    match args.listing.format {
        Format::Json => context.screen.data(&json::render(&rows))?,
        Format::Table => context.screen.data(&table(&rows))?,
    }
    Ok(Exit::Done)
}

fn table(rows: &[TokenRow]) -> String {
    let mut table = Table::new(["ID", "USES", "EXPIRES", "CREATED BY", "LABELS"]);
    for row in rows {
        let labels: Vec<_> =
            row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expires = if row.revoked { "revoked".to_owned() } else { row.expires.clone() };
        table.row([
            row.id.clone(),
            format!("{}/{}", row.used, row.uses),
            expires,
            row.creator.clone(),
            labels.join(","),
        ]);
    }
    table.render()
}

async fn remove(args: Rm, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel token rm").await?;
    let mut failed = None;
    for id in &args.ids {
        match connection.client.revoke_token(id).await {
            Ok(()) => context.screen.data(id)?,
            Err(error) => failed = Some(Failure::from(error)),
        }
    }
    connection.close().await;
    failed.map_or(Ok(Exit::Done), Err)
}
