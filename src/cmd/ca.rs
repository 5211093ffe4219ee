//! `keel ca show | rotate`: the pool's certificate authority.

use crate::args::Format;
use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::json;
use keel_api::pool::{AuthorityRow, AuthoritySeal, RootRow, RotationRow};
use keel_engine::NodeName;

/// The subcommands of `keel ca`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the root certificate, and which nodes have not renewed after a rotation
    #[command(after_help = "Example:\n  keel ca show")]
    Show(Show),
    /// Replace the certificate authority; nodes renew by themselves
    #[command(
        after_help = "Join tokens that were created before can no longer be used.\n\nExample:\n  keel ca rotate"
    )]
    Rotate,
}

/// `ca show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// How to print the authority
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs `keel ca`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Show(args) => show(args, context).await,
        Command::Rotate => rotate(context).await,
    }
}

async fn show(args: Show, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel ca show").await?;
    let row = connection.client.authority().await?;
    connection.close().await;
    match args.format {
        Format::Json => context.screen.data(&json::render(&row))?,
        Format::Table => context.screen.data(&text(&row))?,
    }
    Ok(Exit::Done)
}

async fn rotate(context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel ca rotate").await?;
    let row = connection.client.rotate_authority().await?;
    connection.close().await;
    context.screen.data(&row.root.digest)?;
    context.screen.say(&match &row.rotation {
        Some(rotation) => format!(
            "the certificate authority is replaced; nodes that have not renewed yet: {}. `keel ca show` lists them",
            names(&rotation.waiting)
        ),
        None => "the certificate authority is replaced".to_owned(),
    });
    context.screen.say("join tokens that were created before can no longer be used");
    Ok(Exit::Done)
}

fn text(row: &AuthorityRow) -> String {
    let sealed = match row.sealed {
        AuthoritySeal::Nothing => "not sealed",
        AuthoritySeal::File => "sealed with the key file in the root",
        AuthoritySeal::UnlockKey => "sealed with the unlock key",
    };
    let mut text = root("Root", &row.root) + &format!("Key:          {sealed}\n");
    match &row.rotation {
        Some(rotation) => text += &under_way(rotation),
        None => text += "Rotation:     none\n",
    }
    text += &format!("\n{}", row.root.certificate);
    if let Some(RotationRow { former, .. }) = &row.rotation {
        text += &format!("\nFormer root:\n{}", former.certificate);
    }
    text.trim_end().to_owned()
}

fn root(what: &str, root: &RootRow) -> String {
    let RootRow { digest, since, expires, .. } = root;
    let what = format!("{what}:");
    format!("{what:<14}{digest}\nSince:        {since}\nExpires:      {expires}\n")
}

fn under_way(rotation: &RotationRow) -> String {
    let RotationRow { since, former, renewed, waiting } = rotation;
    let all = renewed.len() + waiting.len();
    let former = &former.digest;
    format!(
        "Rotation:     since {since}, {} of {all} nodes have renewed\nNot renewed:  {}\nFormer root:  {former}\n",
        renewed.len(),
        names(waiting)
    )
}

fn names(nodes: &[NodeName]) -> String {
    match nodes {
        [] => "none".to_owned(),
        nodes => nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", "),
    }
}
