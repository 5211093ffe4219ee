//! A change of each of several nodes.

use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use keel_api::pool::{NodeAsk, NodeChange};
use keel_engine::NodeName;

/// Nodes by name.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Their names
    #[arg(required = true, value_name = "NODE")]
    pub names: Vec<String>,
}

/// Changes each of them; the last error is the command's.
pub async fn each(
    names: &[String],
    change: &NodeChange,
    who: &str,
    context: &Context,
) -> Result<Exit> {
    let connection = to_daemon(context, who).await?;
    let mut failed = None;
    for name in names {
        let ask = NodeAsk { node: NodeName::new(name.clone()), change: change.clone() };
        match connection.client.change_node(&ask).await {
            Ok(changed) => {
                context.screen.data(name)?;
                if !changed.left.is_empty() {
                    let left = changed.left.join(", ");
                    context.screen.warn(&format!("data stays behind on node {name}: {left}"));
                }
            }
            Err(error) => failed = Some(Failure::from(error)),
        }
    }
    connection.close().await;
    failed.map_or(Ok(Exit::Done), Err)
}
