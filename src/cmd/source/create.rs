//! `keel source create`: a repository on this host that can be pushed to.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root;
use keel_reconciler::rows::RepoAsk;

/// The arguments of `keel source create`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Create a bare repository below the root; other sources are named in keel.yaml
    #[arg(long, required = true)]
    bare: bool,
    /// Branch to follow
    #[arg(long, default_value = "main", value_name = "NAME")]
    branch: String,
    /// Where its stacks are: every match that holds a Compose file is one
    #[arg(long, default_value = ".", value_name = "GLOB")]
    path: Vec<String>,
    /// Name of the source
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs `keel source create`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel source create").await?;
    let ask = RepoAsk { name: args.name, branch: args.branch, paths: args.path };
    let made = connection.client.create_repo(&ask).await?;
    connection.close().await;
    context.screen.data(&made.path)?;
    let (host, path, branch) = (root::node(), &made.path, &ask.branch);
    context.screen.say(&format!("push to it:  git push ssh://root@{host}{path} {branch}"));
    context.screen.say(&format!(
        "users other than root need group keel, and: git config --system --add safe.directory {path}"
    ));
    if !made.served {
        context
            .screen
            .say("`keel serve` is not running: it follows the repository once it is started");
    }
    Ok(Exit::Done)
}
