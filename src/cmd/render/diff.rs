//! `keel render --diff`: what the files mean, against what the stack was last told to be.

use super::format::Format;
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::load::{self, Asked};
use crate::machine::config;
use crate::preview::{self, Preview, Wish};
use crate::show::{json, problem};
use keel_api::Client;
use keel_engine::short;
use keel_plan::desired::Desired;
use keel_plan::lines::{self, Lines};
use keel_reconciler::rows::{RenderDiff, RenderDiffReport, RenderDiffs};

/// The version of these shapes.
const VERSION: u32 = 1;

/// One stack, as it is and as it would be.
struct Sides {
    stored: Option<Desired>,
    desired: Option<Desired>,
}

/// Runs `keel render diff`.
pub async fn run(asked: &Asked, format: Format, wish: &Wish, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel render --diff").await?;
    let compared = compared(asked, wish, &connection.client, context).await;
    connection.close().await;
    let (lines, sides, errors) = compared?;
    lines.iter().for_each(|line| context.screen.say(line));
    match (format, sides.as_slice()) {
        (Format::Yaml, sides) => {
            context.screen.data(&sides.iter().map(text).collect::<String>())?;
        }
        (Format::Json, sides) => context.screen.data(&json::render(&report(sides)))?,
    }
    problem::tell(&context.screen, &errors, &[]);
    Ok(match (errors.is_empty(), sides.iter().all(Sides::are_alike)) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Done,
        (true, false) => Exit::Differences,
    })
}

/// What is compared: lines about it, its stacks, and why others would be refused.
async fn compared(
    asked: &Asked,
    wish: &Wish,
    client: &Client,
    context: &Context,
) -> Result<(Vec<String>, Vec<Sides>, Vec<String>)> {
    let previews = preview::of_path(context, client, asked, wish).await?;
    if previews.is_empty() {
        let desired = desired(asked, context)?;
        let stored = client.desired(&desired.stack).await?;
        return Ok((vec![], vec![Sides { stored, desired: Some(desired) }], vec![]));
    }
    let (mut lines, mut sides, mut errors) = (vec![], vec![], vec![]);
    for Preview { row, answer } in previews {
        lines.extend(row.lines);
        errors.extend(answer.errors);
        let stacks = answer.stacks.into_iter();
        sides.extend(stacks.map(|one| Sides { stored: one.stored, desired: one.desired }));
    }
    Ok((lines, sides, errors))
}

impl Sides {
    fn lines(&self) -> (Lines, Lines) {
        let of = |side: &Option<Desired>| side.as_ref().map(lines::of).unwrap_or_default();
        (of(&self.stored), of(&self.desired))
    }

    fn are_alike(&self) -> bool {
        let (from, to) = self.lines();
        from == to
    }

    fn stack(&self) -> String {
        let either = self.desired.as_ref().or(self.stored.as_ref());
        either.map(|side| side.stack.to_string()).unwrap_or_default()
    }
}

fn report(sides: &[Sides]) -> RenderDiffReport {
    match sides {
        [only] => RenderDiffReport::One(row(only)),
        several => {
            let stacks = several.iter().map(row).collect();
            RenderDiffReport::Several(RenderDiffs { version: VERSION, stacks })
        }
    }
}

fn row(sides: &Sides) -> RenderDiff {
    let (from, to) = sides.lines();
    RenderDiff {
        version: VERSION,
        stack: sides.stack(),
        revision: sides.stored.as_ref().map(|stored| stored.revision.clone()),
        differences: lines::differing(&from, &to),
    }
}

/// What the files mean. Warnings are `check`'s to tell.
fn desired(asked: &Asked, context: &Context) -> Result<Desired> {
    let mut stacks = load::stacks(context, asked, config(context)?.policy)?;
    let (Some(stack), true) = (stacks.pop(), stacks.is_empty()) else {
        return Err(asked.several());
    };
    problem::tell(&context.screen, &stack.errors, &[]);
    let (desired, _) = stack.lowered.ok_or(Failure::Said(Exit::Failed))?;
    Ok(desired)
}

fn text(sides: &Sides) -> String {
    let nothing = || "/dev/null".to_owned();
    let at =
        |side: &Desired| format!("{} at {}, {}", side.stack, short(&side.revision), side.owner);
    let of = |side: &Desired| format!("{}, {}", side.stack, side.owner);
    let old = sides.stored.as_ref().map_or_else(nothing, at);
    let new = sides.desired.as_ref().map_or_else(nothing, of);
    let (from, to) = sides.lines();
    lines::unified((&old, &from), (&new, &to))
}
