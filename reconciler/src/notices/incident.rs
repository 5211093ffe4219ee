//! When something is an incident, and when it is over: pure.
//!
//! # Invariants
//! - What does not last is told to nobody: each cause has a patience of its own, and so has the
//!   end of one that may come back. Both double for what was over within the last hour.
//! - One message when an incident begins, one when it is over. In between only another cause is
//!   told: a further revision that fails, or what runs meanwhile getting unwell; each once.
//! - What begins at about the same time in one source is one incident, and one message. A source
//!   with much to tell is told of in batches.

use super::about::{About, CauseKey, Subject, What, Why};
use crate::advice::Advice;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Others that fail of the same cause are waited for.
const GATHER: u64 = 2_000;
/// From so many on they are one incident.
const MANY: usize = 3;
/// Messages about the failures of one source within [`WHILE`]; the rest comes as one, later.
const BUDGET: usize = 5;
const WHILE: u64 = 10 * 60_000;
/// How long what may come back must stay away.
const HOLDS_OUT: u64 = 30_000;
/// Whoever fails again within it is waited for longer.
const AGAIN: u64 = 60 * 60_000;
const LONGEST: u64 = 60 * 60_000;

/// How a subject is right now.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// What is wrong.
    pub causes: Vec<Cause>,
    /// Nothing is wrong, and nothing is under way.
    pub well: bool,
    /// What it is at.
    pub now: About,
}

/// Something that is wrong.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// The same for the same trouble, though its words may change.
    pub key: CauseKey,
    /// It must last so long to be told.
    pub patience: u64,
    /// It may pass and come back by itself.
    pub passing: bool,
    pub about: About,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub incident: String,
    pub subjects: Vec<Subject>,
    pub over: bool,
    pub about: About,
}

/// What is open, and what was told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Incidents {
    open: BTreeMap<String, Incident>,
    watched: BTreeMap<Subject, Watched>,
    /// When each source's failures were told of.
    spoken: BTreeMap<String, Vec<u64>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Incident {
    since: u64,
    subjects: BTreeSet<Subject>,
    source: String,
}

/// What is remembered of a subject. What is not stored is only a measure of time: a restart begins
/// to measure anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Watched {
    incident: Option<String>,
    told: BTreeSet<CauseKey>,
    passing: bool,
    ended: u64,
    again: u32,
    #[serde(skip)]
    since: BTreeMap<CauseKey, u64>,
    #[serde(skip)]
    well: Option<u64>,
}

impl Watched {
    /// Measures how long what is seen lasts.
    fn measure(&mut self, seen: Option<&Seen>, now: u64) {
        let causes = seen.map(|seen| seen.causes.as_slice()).unwrap_or_default();
        self.since.retain(|key, _| causes.iter().any(|cause| cause.key == *key));
        for cause in causes {
            self.since.entry(cause.key.clone()).or_insert(now);
        }
        // One that is gone is over.
        let well = seen.is_none_or(|seen| seen.well);
        self.well = well.then(|| self.well.unwrap_or(now));
    }

    /// How often in a row it came back, if it does so now.
    fn returns(&self, now: u64) -> u32 {
        let lately = self.ended > 0 && now.saturating_sub(self.ended) < AGAIN;
        if lately && self.incident.is_none() { self.again + 1 } else { 0 }
    }

    /// When a cause that was not told yet is to be told.
    fn due(&self, cause: &Cause, now: u64) -> Option<u64> {
        if self.told.contains(&cause.key) {
            return None;
        }
        let doublings = if cause.passing { self.returns(now) } else { 0 };
        Some(self.since.get(&cause.key)? + longer(cause.patience, doublings))
    }

    fn is_over(&self, now: u64) -> bool {
        let hold = if self.passing { longer(HOLDS_OUT, self.again) } else { 0 };
        self.well.is_some_and(|since| now.saturating_sub(since) >= hold)
    }

    fn open(&mut self, incident: &str, cause: &Cause, now: u64) {
        if self.incident.is_none() {
            self.again = self.returns(now);
            self.incident = Some(incident.to_owned());
        }
        self.told.insert(cause.key.clone());
        self.passing |= cause.passing;
    }

    fn close(&mut self, now: u64) {
        (self.incident, self.passing, self.ended) = (None, false, now);
        self.told.clear();
    }

    /// Nothing of it matters any more.
    fn is_past(&self, now: u64) -> bool {
        let lately = self.ended > 0 && now.saturating_sub(self.ended) < AGAIN;
        self.incident.is_none() && self.since.is_empty() && !lately
    }
}

fn longer(time: u64, doublings: u32) -> u64 {
    time.saturating_mul(1 << doublings.min(16)).min(LONGEST.max(time))
}

/// A cause that is due.
struct Due<'a> {
    subject: &'a Subject,
    cause: &'a Cause,
    at: u64,
}

impl Incidents {
    /// What is news. `id` gives names that nobody else has.
    pub fn look(
        &mut self,
        seen: &BTreeMap<Subject, Seen>,
        now: u64,
        mut id: impl FnMut() -> String,
    ) -> Vec<News> {
        for subject in seen.keys() {
            self.watched.entry(subject.clone()).or_default();
        }
        for (subject, watched) in &mut self.watched {
            watched.measure(seen.get(subject), now);
        }
        let mut news = Vec::new();
        for due in self.due(seen, now).into_values() {
            news.extend(self.begin(due, now, &mut id));
        }
        news.extend(self.end(seen, now));
        self.watched.retain(|_, watched| !watched.is_past(now));
        news
    }

    /// Whether time alone will bring news.
    pub fn waits(&self) -> bool {
        self.watched.values().any(|watched| {
            let untold = watched.since.keys().any(|key| !watched.told.contains(key));
            untold || (watched.incident.is_some() && watched.well.is_some())
        })
    }

    /// What is to be told now, by source.
    fn due<'a>(
        &self,
        seen: &'a BTreeMap<Subject, Seen>,
        now: u64,
    ) -> BTreeMap<String, Vec<Due<'a>>> {
        let mut all: BTreeMap<String, Vec<Due<'a>>> = BTreeMap::new();
        for (subject, seen) in seen {
            let Some(watched) = self.watched.get(subject) else { continue };
            let due = seen.causes.iter().filter_map(|cause| {
                let at = watched.due(cause, now).filter(|at| *at <= now)?;
                Some((cause, at))
            });
            // The first is the worst; one message is enough.
            if let Some((cause, at)) = due.into_iter().next() {
                let of_source = all.entry(cause.about.source.clone()).or_default();
                of_source.push(Due { subject, cause, at });
            }
        }
        all.retain(|source, due| {
            let first = due.iter().map(|due| due.at).min().unwrap_or(now);
            now >= first + GATHER && self.may_speak(source, now)
        });
        all
    }

    fn may_speak(&self, source: &str, now: u64) -> bool {
        let lately = |at: &&u64| now.saturating_sub(**at) < WHILE;
        self.spoken.get(source).is_none_or(|all| all.iter().filter(lately).count() < BUDGET)
    }

    fn begin(&mut self, due: Vec<Due<'_>>, now: u64, id: &mut impl FnMut() -> String) -> Vec<News> {
        if due.len() >= MANY {
            return vec![self.begin_one(&due, now, id)];
        }
        due.iter().map(|due| self.begin_one(std::slice::from_ref(due), now, id)).collect()
    }

    /// One message about all of these.
    fn begin_one(&mut self, due: &[Due<'_>], now: u64, id: &mut impl FnMut() -> String) -> News {
        let known = due.iter().find_map(|due| self.watched.get(due.subject)?.incident.clone());
        let all_known = due
            .iter()
            .all(|due| self.watched.get(due.subject).is_some_and(|w| w.incident.is_some()));
        let incident = known.filter(|_| all_known).unwrap_or_else(&mut *id);
        let about = together(due);
        for Due { subject, cause, .. } in due {
            let watched = self.watched.entry((*subject).clone()).or_default();
            let joins = watched.incident.is_none();
            watched.open(&incident, cause, now);
            if joins {
                let open = self.open.entry(incident.clone()).or_insert_with(|| Incident {
                    since: about.since,
                    source: about.source.clone(),
                    ..Incident::default()
                });
                open.subjects.insert((*subject).clone());
            }
        }
        let spoken = self.spoken.entry(about.source.clone()).or_default();
        spoken.retain(|at| now.saturating_sub(*at) < WHILE);
        spoken.push(now);
        let subjects = due.iter().map(|due| due.subject.clone()).collect();
        News { incident, subjects, over: false, about }
    }

    /// Incidents of which nothing is left.
    fn end(&mut self, seen: &BTreeMap<Subject, Seen>, now: u64) -> Vec<News> {
        let over = |incident: &Incident| {
            let mut all = incident.subjects.iter().filter_map(|subject| self.watched.get(subject));
            all.all(|watched| watched.is_over(now))
        };
        let done: Vec<_> =
            self.open.iter().filter(|(_, one)| over(one)).map(|(id, _)| id.clone()).collect();
        let mut news = Vec::new();
        for id in done {
            let Some(incident) = self.open.remove(&id) else { continue };
            for subject in &incident.subjects {
                if let Some(watched) = self.watched.get_mut(subject) {
                    watched.close(now);
                }
            }
            news.push(ended(id, &incident, seen));
        }
        news
    }
}

/// What several have in common, and the worst of each.
fn together(due: &[Due<'_>]) -> About {
    let mut about = due[0].cause.about.clone();
    if due.len() == 1 {
        return about;
    }
    about.since = due.iter().map(|due| due.cause.about.since).min().unwrap_or(about.since);
    about.what = What::Failed;
    about.tried = None;
    about.commands = vec![Advice::Status { stack: None }];
    if due.iter().any(|due| due.cause.about.revision != about.revision) {
        (about.revision, about.author, about.subject) = Default::default();
    }
    let mut reasons: Vec<_> = due.iter().map(|due| due.cause.about.reason.clone()).collect();
    reasons.sort_by_cached_key(ToString::to_string);
    reasons.dedup();
    let more = reasons.len().saturating_sub(MANY);
    reasons.truncate(MANY);
    about.reason = Why::Several { reasons, more };
    about
}

fn ended(id: String, incident: &Incident, seen: &BTreeMap<Subject, Seen>) -> News {
    let mut left = incident.subjects.iter().filter_map(|subject| seen.get(subject));
    let mut about = match (left.next(), incident.subjects.len()) {
        (None, _) => About { reason: Why::Gone, ..About::default() },
        (Some(seen), 1) => seen.now.clone(),
        (Some(_), _) => About { reason: Why::AllWell, ..About::default() },
    };
    (about.since, about.source) = (incident.since, incident.source.clone());
    News { incident: id, subjects: incident.subjects.iter().cloned().collect(), over: true, about }
}
