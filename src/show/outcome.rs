//! Follows something under way to its end: progress to the screen, the outcome as exit code.

use crate::connect::Connection;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::show::Screen;
use crate::show::progress::Board;
use futures_util::StreamExt;
use keel_api::Client;
use keel_api::client::Lines;
use keel_reconciler::ask::{Outcome, Progress};

/// Whoever drove is gone; what it was to do is on the disk.
const HOW_FAR: &str = "`keel status` says how far it got; the next `keel serve` goes on";

/// Asks whoever drives, shows all lines; how it ended. Asked again, with what `ask` then is, where
/// a `keel serve` takes over meanwhile.
pub async fn through<A: AsyncFn(&Client, bool) -> Result<Lines<Progress>>>(
    connection: &mut Connection,
    context: &Context,
    who: &str,
    ask: A,
) -> Result<Exit> {
    let mut again = false;
    loop {
        let lines = ask(&connection.client, again).await?;
        if let Some(exit) = watch(&context.screen, lines).await? {
            return Ok(exit);
        }
        connection.follow(context, who).await?;
        again = true;
    }
}

/// Shows all lines; how it ended, unless somebody else took over.
pub async fn watch(screen: &Screen, mut lines: Lines<Progress>) -> Result<Option<Exit>> {
    let mut board = Board::new(screen);
    while let Some(line) = lines.next().await {
        match line.map_err(|error| Failure::from(error).hint(HOW_FAR))? {
            Progress::End { outcome: Outcome::TakenOver, .. } => return Ok(None),
            Progress::End { outcome, notes } => return Ok(Some(ended(screen, outcome, &notes))),
            step @ Progress::Step { .. } => board.take(&step),
        }
    }
    Err(Failure::new("the connection to keel ended before the outcome was known").hint(HOW_FAR))
}

fn ended(screen: &Screen, outcome: Outcome, notes: &[String]) -> Exit {
    for note in notes {
        match outcome {
            Outcome::Done => screen.say(note),
            Outcome::Failed | Outcome::Unhealthy if note.starts_with("hint:") => {
                screen.blank();
                screen.problem(note);
            }
            Outcome::Failed | Outcome::Unhealthy if has_heading(note) => screen.problem(note),
            Outcome::Failed => screen.error(note),
            Outcome::Unhealthy | Outcome::TakenOver => screen.warn(note),
        }
    }
    match outcome {
        Outcome::Done => Exit::Done,
        Outcome::Failed | Outcome::TakenOver => Exit::Failed,
        Outcome::Unhealthy => Exit::Unhealthy,
    }
}

fn has_heading(note: &str) -> bool {
    ["error:", "warning:", "notice:", "hint:"].iter().any(|word| note.starts_with(word))
}
