//! What somebody who is woken by a stack needs to know beside what is wrong: pure.

use crate::advice::Advice;
use crate::ask::StatusRow;
use crate::clock::rfc3339;
use crate::history::{History, HistoryEntry};
use crate::operation::OperationState;
use crate::rows::TroubleRow;
use keel_engine::short;
use keel_plan::status::{Health, Sync};

/// Whether it failed, or is not well.
pub(super) fn is_troubled(row: &StatusRow) -> bool {
    row.operation.state == Some(OperationState::Failed) || row.health == Health::Degraded
}

/// Whether a revision failed before, and what its policy makes of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bad {
    /// It did not.
    No,
    /// It gives way to this revision, which was good.
    GivesWay(String),
    /// It stays, since nothing was good before it.
    Alone,
    /// It stays where it is (`rollback: false`).
    Stays,
    /// It stays where it is (`failure_action: pause`).
    Paused,
    /// Its rollout goes on (`failure_action: continue`).
    GoesOn,
}

/// Of a stack that is [troubled](is_troubled), since its last operation was `at` this revision.
/// What is known bad is tried again only when its meaning changes, or a person says so.
pub(super) fn trouble(row: &StatusRow, at: &str, history: &History, bad: &Bad) -> TroubleRow {
    let failed = row.operation.state == Some(OperationState::Failed);
    let entry = failed.then(|| beginning(history, at)).flatten();
    let stack = &row.stack;
    let mut advice = vec![match entry {
        Some(entry) => Advice::ShowHistory { number: entry.number },
        None => Advice::Logs { stack: stack.clone() },
    }];
    if *bad != Bad::No {
        advice.push(Advice::Retry { stack: stack.clone() });
    }
    let revision = entry.map(|entry| entry.revision.clone()).unwrap_or_default();
    TroubleRow {
        since: entry.map_or_else(|| row.operation.at.clone(), |entry| rfc3339(entry.at)),
        author: entry.map(|entry| entry.author.clone()).unwrap_or_default(),
        subject: entry.map(|entry| entry.subject.clone()).unwrap_or_default(),
        tried: tried(row, &revision, bad),
        revision,
        commands: advice.iter().map(ToString::to_string).collect(),
        advice,
    }
}

/// The first of the failures in a row of this revision.
fn beginning<'a>(history: &'a History, revision: &str) -> Option<&'a HistoryEntry> {
    let failed =
        |entry: &&HistoryEntry| entry.state == OperationState::Failed && entry.revision == revision;
    let newest_first = history.0.iter().rev();
    newest_first.skip_while(|entry| !failed(entry)).take_while(failed).last()
}

/// What keel did about it. A commit that means the same as the one that failed is none that runs
/// instead, whatever it is called.
fn tried(row: &StatusRow, failed: &str, bad: &Bad) -> Option<String> {
    let runs = short(&row.revision);
    let kept = match bad {
        Bad::Stays => "it is left as it is, by `rollback: false`".to_owned(),
        Bad::Paused => "it is left as it is, by `failure_action: pause`".to_owned(),
        Bad::GoesOn => "its rollout goes on, by `failure_action: continue`".to_owned(),
        Bad::Alone => "nothing was good before it, so it is left as it is".to_owned(),
        Bad::GivesWay(good) => format!("revision {} runs instead", short(good)),
        Bad::No => {
            let is_applied = row.sync == Sync::InSync;
            let other = !failed.is_empty() && row.revision != failed && !runs.is_empty();
            return (other && !is_applied).then(|| format!("revision {runs} runs on"));
        }
    };
    Some(format!("{kept}; not retried until its commit or its files change"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::OperationRow;

    fn row(state: OperationState, health: Health, revision: &str) -> StatusRow {
        let (state, at) = (Some(state), rfc3339(9_000));
        let operation = OperationRow { state, at, ..OperationRow::default() };
        StatusRow {
            stack: "shop".into(),
            health,
            revision: revision.into(),
            operation,
            ..StatusRow::default()
        }
    }

    fn entry(number: u64, revision: &str, state: OperationState) -> HistoryEntry {
        HistoryEntry {
            number,
            revision: revision.into(),
            author: "Ann".into(),
            subject: "faster".into(),
            state,
            at: number * 1_000,
            ..HistoryEntry::default()
        }
    }

    #[test]
    fn what_failed_first_is_told_with_what_became_of_it() {
        use Health::{Degraded, Healthy, Progressing};
        use OperationState::{Failed, Running, Succeeded};
        let history = History(vec![
            entry(1, "r1", Succeeded),
            entry(2, "r2", Failed),
            entry(3, "r3", Failed),
            entry(4, "r3", Failed),
            entry(5, "r1", Succeeded),
        ]);
        let told = |row: &StatusRow, bad: &Bad| {
            let TroubleRow { since, revision, author, subject, tried, commands, advice: _ } =
                is_troubled(row).then(|| trouble(row, "r3", &history, bad))?;
            let tried = tried.unwrap_or_default();
            Some(format!("{since} {revision} {author} {subject}: {tried}: {}", commands.join(", ")))
        };
        assert_eq!(told(&row(Succeeded, Healthy, "r1"), &Bad::No), None);
        assert_eq!(told(&row(Running, Progressing, "r1"), &Bad::No), None);
        let cases = [
            (row(Failed, Healthy, "r1"), Bad::GivesWay("r1".into())),
            (row(Failed, Degraded, "r3"), Bad::Alone),
            // A commit of no meaning came meanwhile.
            (row(Failed, Degraded, "r4"), Bad::Alone),
            (row(Failed, Degraded, "r3"), Bad::Stays),
            (row(Failed, Healthy, "r1"), Bad::No),
            (StatusRow { sync: Sync::InSync, ..row(Failed, Healthy, "r4") }, Bad::No),
            (row(Succeeded, Degraded, "r1"), Bad::No),
        ];
        let all: Vec<_> = cases.iter().filter_map(|(row, bad)| told(row, bad)).collect();
        insta::assert_snapshot!(all.join("\n"), @r"
        1970-01-01T00:00:03Z r3 Ann faster: revision r1 runs instead; not retried until its commit or its files change: keel history show 3, keel sync shop --retry
        1970-01-01T00:00:03Z r3 Ann faster: nothing was good before it, so it is left as it is; not retried until its commit or its files change: keel history show 3, keel sync shop --retry
        1970-01-01T00:00:03Z r3 Ann faster: nothing was good before it, so it is left as it is; not retried until its commit or its files change: keel history show 3, keel sync shop --retry
        1970-01-01T00:00:03Z r3 Ann faster: it is left as it is, by `rollback: false`; not retried until its commit or its files change: keel history show 3, keel sync shop --retry
        1970-01-01T00:00:03Z r3 Ann faster: revision r1 runs on: keel history show 3
        1970-01-01T00:00:03Z r3 Ann faster: : keel history show 3
        1970-01-01T00:00:09Z   : : keel logs shop
        ");
    }
}
