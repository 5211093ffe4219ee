//! `keel render --diff`: what the files mean, against what the stack was last told to be.

use super::Format;
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::load::{self, Asked};
use crate::machine::config;
use crate::show::{json, problem};
use keel_engine::short;
use keel_plan::desired::Desired;
use keel_plan::lines::{self, Lines};
use serde_json::json;

/// Does it.
pub async fn run(asked: &Asked, format: Format, context: &Context) -> Result<Exit> {
    let desired = desired(asked, context)?;
    let connection = connect(context, Need::Read, "keel render --diff").await?;
    let stored = connection.client.desired(&desired.stack).await;
    connection.close().await;
    let stored = stored?;
    let (from, to) = (stored.as_ref().map(lines::of).unwrap_or_default(), lines::of(&desired));
    match format {
        Format::Yaml => context.screen.data(&text(&desired, stored.as_ref(), &from, &to))?,
        Format::Json => context.screen.data(&json::render(&json!({
            "version": 1,
            "stack": desired.stack,
            "revision": stored.as_ref().map(|stored| &stored.revision),
            "differences": lines::differing(&from, &to),
        })))?,
    }
    Ok(if from == to { Exit::Done } else { Exit::Differences })
}

/// What the files mean. Warnings are `check`'s to tell.
fn desired(asked: &Asked, context: &Context) -> Result<Desired> {
    let mut stacks = load::stacks(context, asked, config(context)?.policy)?;
    let (Some(stack), true) = (stacks.pop(), stacks.is_empty()) else {
        return Err(super::several(asked));
    };
    problem::tell(&context.screen, &stack.errors, &[]);
    let (desired, _) = stack.lowered.ok_or(Failure::Said(Exit::Failed))?;
    Ok(desired)
}

fn text(desired: &Desired, stored: Option<&Desired>, from: &Lines, to: &Lines) -> String {
    let old = match stored {
        Some(stored) => {
            format!("{} at {}, {}", stored.stack, short(&stored.revision), stored.owner)
        }
        None => "/dev/null".to_owned(),
    };
    let new = format!("{}, {}", desired.stack, desired.owner);
    lines::unified((&old, from), (&new, to))
}
