//! When drift is told of: pure.
//!
//! # Invariants
//! - One message for what was found together; where it is healed by itself, found and healed are
//!   one message. What is only reported is told when it is found, and when all of it is right.
//! - What comes back within the hour is not told again: whoever changes it goes on doing so.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is found at about the same time is one message.
const GATHER: u64 = 3_000;
/// By then it should be healed; if it is not, it is told as it is.
const HEALING: u64 = 90_000;
/// Not told twice within it.
const QUIET: u64 = 60 * 60_000;

/// A difference, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Stable for the same field of the same thing.
    pub id: String,
    /// `web-1: environment.TZ`. No values: they may be secrets.
    pub words: String,
    pub since: u64,
    pub fixed: bool,
    /// It is healed by itself.
    pub heals: bool,
}

/// What was told of one stack's drift.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// Since when each that is known is there: another time is another one.
    known: BTreeMap<String, u64>,
    /// When each was told last.
    last: BTreeMap<String, u64>,
    /// Told as found, and not as healed yet.
    open: BTreeSet<String>,
    /// The incident that they belong to.
    incident: String,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub incident: String,
    pub findings: Vec<String>,
    pub since: u64,
    pub state: State,
}

/// How it is with what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Found, and healed already.
    Healed,
    /// Found; it should be healed by now.
    Unhealed,
    /// Found; it is only reported.
    Reported,
    /// All that was told is right again.
    Over,
}

impl Told {
    /// Of a stack that is seen for the first time: what is over is not told.
    pub fn first(found: &[Found]) -> Self {
        let past = found.iter().filter(|one| one.fixed);
        let known = past.map(|one| (one.id.clone(), one.since)).collect();
        Self { known, ..Self::default() }
    }

    /// What is news of it.
    pub fn look(
        &mut self,
        found: &[Found],
        now: u64,
        id: &mut impl FnMut() -> String,
    ) -> Vec<News> {
        let there = |id: &String| found.iter().any(|one| one.id == *id);
        self.known.retain(|id, _| there(id));
        self.last.retain(|id, at| there(id) || now.saturating_sub(*at) < QUIET);
        let mut news: Vec<_> = self.begun(found, now, id).into_iter().collect();
        news.extend(self.over(found));
        news
    }

    /// Whether time alone will bring news.
    pub fn waits(&self, found: &[Found]) -> bool {
        self.fresh(found).next().is_some()
    }

    fn fresh<'a>(&'a self, found: &'a [Found]) -> impl Iterator<Item = &'a Found> {
        found.iter().filter(|one| self.known.get(&one.id) != Some(&one.since))
    }

    fn begun(
        &mut self,
        found: &[Found],
        now: u64,
        id: &mut impl FnMut() -> String,
    ) -> Option<News> {
        let fresh: Vec<_> = self.fresh(found).cloned().collect();
        let first = fresh.iter().map(|one| one.since).min()?;
        let age = now.saturating_sub(first);
        let healing = fresh.iter().any(|one| one.heals && !one.fixed);
        if age < GATHER || (healing && age < HEALING) {
            return None;
        }
        let loud =
            |one: &Found| self.last.get(&one.id).is_none_or(|at| now.saturating_sub(*at) >= QUIET);
        let loud: BTreeSet<_> =
            fresh.iter().filter(|one| loud(one)).map(|one| one.id.clone()).collect();
        self.known.extend(fresh.iter().map(|one| (one.id.clone(), one.since)));
        if loud.is_empty() {
            return None;
        }
        if self.open.is_empty() {
            self.incident = id();
        }
        self.last.extend(loud.iter().map(|id| (id.clone(), now)));
        let unfixed = fresh.iter().filter(|one| !one.fixed && loud.contains(&one.id));
        self.open.extend(unfixed.map(|one| one.id.clone()));
        let state = match (fresh.iter().all(|one| one.fixed), healing) {
            (true, _) => State::Healed,
            (false, true) => State::Unhealed,
            (false, false) => State::Reported,
        };
        let findings = fresh.iter().map(|one| one.words.clone()).collect();
        Some(News { incident: self.incident.clone(), findings, since: first, state })
    }

    fn over(&mut self, found: &[Found]) -> Option<News> {
        let mut still = found.iter().filter(|one| !one.fixed);
        if self.open.is_empty() || still.any(|one| self.open.contains(&one.id)) {
            return None;
        }
        let open = std::mem::take(&mut self.open);
        let mine: Vec<_> = found.iter().filter(|one| open.contains(&one.id)).collect();
        let since = mine.iter().map(|one| one.since).min().unwrap_or_default();
        let findings = mine.iter().map(|one| one.words.clone()).collect();
        Some(News { incident: self.incident.clone(), findings, since, state: State::Over })
    }
}
