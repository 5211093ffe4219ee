//! What is seen at one moment of all that may be news. Reads records and asks how stacks are; the
//! parts that judge are pure.

use super::answers::Fares;
use super::book::Looked;
use super::drift::Found;
use super::incident::{About, Cause, Seen};
use super::{Wants, Way};
use crate::ask::{Refusal, StatusRow};
use crate::controller::Controller;
use crate::operation::{Operation, OperationState};
use crate::record::{Commit, RefusedRevision, SourceRecord};
use keel_engine::{StackName, short};
use keel_plan::desired::{Desired, DriftPolicy, Owner};
use keel_plan::drift::{Row, SeenRow};
use keel_plan::standing::{KnownBad, Standing};
use std::collections::BTreeMap;
use std::time::Duration;

/// A node that refuses is asked again at once.
const REFUSED: u64 = 15_000;
/// Once it has settled it has no excuse.
const UNWELL: u64 = 30_000;
/// While it comes back from a revision that failed.
const RETURNING: u64 = 120_000;
/// While a revision is rolled out: that has limits of its own.
const ROLLING: u64 = 15 * 60_000;
/// For coming back, before it is told that a revision failed.
const BACK: u64 = 30_000;
/// A server that is away for three polls is away; never sooner, never later than this.
const HICCUP: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(180));

/// All that is known of one stack.
pub(super) struct Known<'a> {
    pub stack: &'a StackName,
    pub row: &'a StatusRow,
    pub desired: Option<&'a Desired>,
    pub standing: &'a Standing,
    pub operation: &'a Operation,
    pub source: &'a SourceRecord,
    pub host: &'a str,
}

impl Controller {
    pub(super) async fn look_for_news(&self) -> Result<Looked, Refusal> {
        let mut looked = Looked::default();
        let mut sources = BTreeMap::new();
        for (name, source) in self.configured().iter() {
            let record = self.records().source(name).await?;
            let seen = of_source(name, &record, source.poll());
            looked.subjects.insert(format!("source/{name}"), seen);
            sources.insert(name.clone(), record);
        }
        for row in self.status(&[]).await? {
            self.look_at(&row, &sources, &mut looked).await?;
        }
        Ok(looked)
    }

    async fn look_at(
        &self,
        row: &StatusRow,
        sources: &BTreeMap<String, SourceRecord>,
        looked: &mut Looked,
    ) -> Result<(), Refusal> {
        let Ok(stack) = StackName::new(row.stack.as_str()) else { return Ok(()) };
        let records = self.records();
        let (desired, standing) = (records.desired(&stack).await?, records.standing(&stack).await?);
        let operation = records.operation(&stack).await?.unwrap_or_default();
        let none = SourceRecord::default();
        let source = sources.get(&row.source).unwrap_or(&none);
        let known = Known {
            stack: &stack,
            row,
            desired: desired.as_ref(),
            standing: &standing,
            operation: &operation,
            source,
            host: &self.settings().host,
        };
        looked.subjects.insert(format!("stack/{stack}"), known.seen());
        let found = records.seen(&stack).await?.values().map(found).collect();
        looked.drift.insert(row.stack.clone(), (row.source.clone(), found));
        let asked = self.settings().destinations.iter();
        let mut asked = asked.filter_map(|one| match &one.wants {
            Wants::Commits(source) => Some(source),
            Wants::Messages(_) => None,
        });
        if asked.any(|source| *source == row.source) {
            looked.fares.extend(known.fares());
        }
        Ok(())
    }
}

fn of_source(name: &str, record: &SourceRecord, poll: Duration) -> Seen {
    let about = |what: &str, reason: String| About {
        source: name.to_owned(),
        what: what.to_owned(),
        reason,
        ..About::default()
    };
    let away = record.trouble.as_ref().map(|trouble| Cause {
        key: "away".to_owned(),
        patience: u64::try_from((poll * 3).clamp(HICCUP.0, HICCUP.1).as_millis()).unwrap_or(0),
        passing: true,
        about: About {
            since: record.failing,
            tried: "what was read before runs on, and it is tried again by itself".to_owned(),
            commands: vec!["keel source ls".to_owned()],
            ..about("cannot be read", own_words(name, trouble))
        },
    });
    let held = record.held.as_ref().map(|held| Cause {
        key: format!("held:{}", held.revision),
        patience: 0,
        passing: false,
        about: About {
            revision: held.revision.clone(),
            since: record.fetched,
            tried: "what was read before runs on".to_owned(),
            commands: vec![format!("keel confirm {name}")],
            ..about("waits for a person's word", held.why.clone())
        },
    });
    let causes: Vec<_> = held.into_iter().chain(away).collect();
    let well = causes.is_empty();
    Seen { causes, well, now: about("", "it can be read".to_owned()) }
}

/// Without what the message says anyway.
fn own_words(name: &str, trouble: &str) -> String {
    let prefix = format!("error: source {name}: ");
    let words = trouble.strip_prefix(&prefix).unwrap_or(trouble);
    words.replace("\n\nhint: ", "; ").trim().to_owned()
}

fn found(seen: &SeenRow) -> Found {
    let Row { task, service, field, .. } = &seen.row;
    let whose = if task.is_empty() { service } else { task };
    let words = if whose.is_empty() { field.clone() } else { format!("{whose}: {field}") };
    Found {
        id: seen.row.id.clone(),
        words,
        since: seen.row.first_seen,
        fixed: seen.fixed.is_some() || seen.row.fixed,
        heals: seen.row.policy == DriftPolicy::Heal,
    }
}

impl Known<'_> {
    pub fn seen(&self) -> Seen {
        let causes: Vec<_> =
            [self.refused(), self.bad(), self.unwell()].into_iter().flatten().collect();
        let settled =
            matches!(self.operation.state, OperationState::Succeeded | OperationState::Held);
        let at = self.desired.is_some_and(|desired| desired.revision == self.operation.revision);
        let well = causes.is_empty() && settled && at && self.row.health == "Healthy";
        Seen { causes, well, now: self.now() }
    }

    fn now(&self) -> About {
        let revision = self.desired.map(|desired| desired.revision.clone()).unwrap_or_default();
        let mut about = self.about(&revision, "");
        let at =
            if revision.is_empty() { String::new() } else { format!(" at {}", short(&revision)) };
        about.reason = match &self.standing.pinned {
            Some(pinned) => {
                let revision = short(&pinned.desired.revision);
                format!("it is healthy, rolled back to {revision} by {}", pinned.by)
            }
            None => format!("it is healthy{at}"),
        };
        about.commands = vec![];
        about
    }

    /// With whoever wrote this revision.
    fn about(&self, revision: &str, what: &str) -> About {
        let trouble = self.row.trouble.clone().unwrap_or_default();
        let commit = self.source.commit.clone().filter(|commit| commit.revision == revision);
        let Commit { author, subject, .. } = commit.unwrap_or_else(|| {
            let mine = trouble.revision == revision && !revision.is_empty();
            let trouble = if mine { trouble.clone() } else { Default::default() };
            Commit { revision: trouble.revision, author: trouble.author, subject: trouble.subject }
        });
        About {
            source: self.row.source.clone(),
            what: what.to_owned(),
            revision: revision.to_owned(),
            author,
            subject,
            commands: trouble.commands,
            ..About::default()
        }
    }

    fn refusal(&self) -> Option<&RefusedRevision> {
        self.source.refused.get(self.stack)
    }

    /// The stack's files are wrong.
    fn refused(&self) -> Option<Cause> {
        let refused = self.refusal()?;
        let mut about = self.about(&refused.revision, "was refused");
        about.reason.clone_from(&refused.why);
        about.since = refused.since;
        about.tried = match self.desired {
            Some(_) => "what was there before runs on".to_owned(),
            None => "nothing of it runs".to_owned(),
        };
        about.commands.retain(|command| !command.starts_with("keel logs"));
        about.commands.push(format!("keel status {}", self.row.stack));
        Some(Cause { key: format!("refused:{}", refused.why), patience: 0, passing: false, about })
    }

    fn known_bad(&self) -> Option<&KnownBad> {
        let desired = self.desired.filter(|_| self.standing.pinned.is_none())?;
        self.standing.bad.get(&desired.hash)
    }

    /// What was good before, and is come back to.
    fn good(&self) -> Option<&str> {
        let (good, desired) = (self.standing.good_desired.as_deref()?, self.desired?);
        (good.hash != desired.hash).then_some(good.revision.as_str())
    }

    /// The revision failed. Until it is come back from that, it is not known how it stands.
    fn bad(&self) -> Option<Cause> {
        let bad = self.known_bad()?;
        let mut about = self.about(&bad.revision, "failed");
        about.reason.clone_from(&bad.reason);
        about.since = bad.at;
        let back = self.row.health == "Healthy";
        about.tried = match self.good() {
            None => "nothing was good before it, so it is left as it is".to_owned(),
            Some(good) if back => format!(
                "rolled back to revision {}, which is healthy; not tried again until its commit or its files change",
                short(good)
            ),
            Some(good) => {
                format!("going back to revision {}, which is not healthy yet", short(good))
            }
        };
        let patience = if back || self.good().is_none() { 0 } else { BACK };
        let hash = self.desired.map(|desired| desired.hash.to_string()).unwrap_or_default();
        Some(Cause { key: format!("bad:{hash}"), patience, passing: false, about })
    }

    /// It failed without its revision being to blame, or what runs is not well.
    fn unwell(&self) -> Option<Cause> {
        let bad = self.known_bad();
        if bad.is_some() && self.good().is_none() {
            return None;
        }
        let failed = self.operation.state == OperationState::Failed && bad.is_none();
        let unwell = matches!(self.row.health.as_str(), "Degraded" | "Missing");
        let (patience, reason) = match (failed, unwell) {
            (false, false) => return None,
            (true, _) => (REFUSED, self.operation.reason.clone()),
            (false, true) => (self.patience(), self.first_note()),
        };
        if self.desired.is_none() || self.standing.suspended.is_some() {
            return None;
        }
        let mut about =
            self.about(&self.row.revision, if failed { "failed" } else { "is not well" });
        // It is about how it runs, not about its commit.
        about.revision = if failed { about.revision } else { String::new() };
        (about.reason, about.since) = (reason, self.operation.at);
        Some(Cause { key: "unwell".to_owned(), patience, passing: true, about })
    }

    fn patience(&self) -> u64 {
        match (self.standing.rollout, self.known_bad()) {
            (Some(_), _) => ROLLING,
            (None, Some(_)) => RETURNING,
            (None, None) => UNWELL,
        }
    }

    /// Without what a health check printed: it may print anything.
    fn first_note(&self) -> String {
        let mine = |note: &&String| !note.starts_with("revision ");
        let note = self.row.notes.iter().find(mine).map_or("", String::as_str);
        let end = " is unhealthy";
        let words = note.find(end).map_or(note, |at| &note[..at + end.len()]);
        if words.is_empty() { self.operation.reason.clone() } else { words.to_owned() }
    }

    /// How the newest commit of its source does.
    pub fn fares(&self) -> Option<Fares> {
        let (revision, way, words) = match self.refusal() {
            Some(refused) => {
                (refused.revision.clone(), Way::Failure, format!("refused: {}", refused.why))
            }
            None => {
                let desired =
                    self.desired.filter(|one| matches!(one.owner, Owner::Source { .. }))?;
                let (way, words) = self.way(desired);
                (desired.revision.clone(), way, words)
            }
        };
        let (source, stack) = (self.row.source.clone(), self.row.stack.clone());
        Some(Fares { source, stack, revision, way, words })
    }

    fn way(&self, desired: &Desired) -> (Way, String) {
        if let Some(bad) = self.standing.bad.get(&desired.hash) {
            let back = self.good().map(|good| format!("; rolled back to {}", short(good)));
            return (Way::Failure, format!("{}{}", bad.reason, back.unwrap_or_default()));
        }
        if let Some(pinned) = &self.standing.pinned {
            let to = short(&pinned.desired.revision);
            return (Way::Pending, format!("held: rolled back to {to} by {}", pinned.by));
        }
        if let Some(held) = &self.standing.suspended {
            return (Way::Pending, format!("held: suspended by {}", held.by));
        }
        let (operation, host) = (self.operation, self.host);
        if operation.revision != desired.revision {
            return (Way::Pending, format!("rolling out on {host}"));
        }
        match operation.state {
            OperationState::Running => (Way::Pending, format!("rolling out on {host}")),
            OperationState::Succeeded if self.row.health == "Healthy" => {
                (Way::Success, format!("healthy on {host}"))
            }
            // It was good: how it runs now is no news about the commit.
            OperationState::Succeeded => (Way::Success, format!("deployed on {host}")),
            OperationState::Held => (Way::Failure, format!("held: {}", operation.reason)),
            OperationState::Failed => (Way::Failure, operation.reason.clone()),
        }
    }
}
