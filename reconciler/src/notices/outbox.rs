//! Notifications until they have arrived: pure.
//!
//! # Invariants
//! - Each destination gets its letters in the order in which they were written, one at a time; one
//!   that does not answer holds up no other.
//! - The queue has limits in number and in age. What is dropped is counted, and told.

use super::{Content, Notification, Sent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Notifications that may wait for one destination.
const MOST: usize = 500;
/// Older ones tell nobody anything.
const OLDEST: u64 = 24 * 60 * 60_000;
/// Before a second try; twice as long each time.
const PAUSE: u64 = 2_000;
/// The longest of these pauses.
const LONGEST: u64 = 5 * 60_000;
const DOUBLINGS: u32 = 10;

/// What is on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outbox {
    letters: Vec<Notification>,
    states: BTreeMap<String, DeliveryState>,
}

/// How a destination is. Nothing of it is remembered while all arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryState {
    /// Since when nothing arrives; 0 while it does. Milliseconds since 1970.
    pub failing: u64,
    /// Tries in a row that failed.
    pub tries: u32,
    /// Not before.
    pub next: u64,
    /// What was in the way, or was said last.
    pub why: String,
    /// Notifications that were refused or dropped since one arrived.
    pub lost: u32,
}

/// What a destination is to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    Notification(Notification),
    At(u64),
    Nothing,
}

impl Outbox {
    pub fn add(&mut self, letter: Notification) {
        if let Content::Commit(new) = &letter.content {
            // What was not told yet of the same commit is old.
            self.letters.retain(|old| match &old.content {
                Content::Commit(old_state) => {
                    let same =
                        (&old_state.revision, &old_state.context) == (&new.revision, &new.context);
                    old.to != letter.to || !same
                }
                Content::Message(_) => true,
            });
        }
        let to = letter.to.clone();
        self.letters.push(letter);
        let of = |other: &Notification| other.to == to;
        if self.letters.iter().filter(|letter| of(letter)).count() > MOST {
            let oldest = self.letters.iter().position(of).expect("there are many");
            self.letters.remove(oldest);
            self.lose(&to, "more than 500 letters wait");
        }
    }

    fn lose(&mut self, to: &str, why: &str) {
        let state = self.states.entry(to.to_owned()).or_default();
        state.lost += 1;
        why.clone_into(&mut state.why);
    }

    /// The letter that this destination is to be sent now.
    pub fn next(&self, to: &str, now: u64) -> Next {
        let Some(letter) = self.letters.iter().find(|letter| letter.to == to) else {
            return Next::Nothing;
        };
        match self.states.get(to).map_or(0, |state| state.next) {
            // A clock that was set back must not silence anybody for long.
            next if next > now && next - now <= LONGEST.max(3_600_000) => Next::At(next),
            _ => Next::Notification(letter.clone()),
        }
    }

    /// What became of one.
    pub fn sent(&mut self, letter: &Notification, sent: &Sent, now: u64) {
        let state = self.states.entry(letter.to.clone()).or_default();
        match sent {
            Sent::Done => {
                self.states.remove(&letter.to);
                self.forget(letter);
            }
            Sent::Later { why, wait } => {
                let pause = PAUSE << state.tries.min(DOUBLINGS);
                let asked = wait.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(0));
                state.next = now + pause.min(LONGEST).max(asked);
                state.tries += 1;
                state.why.clone_from(why);
                if state.failing == 0 {
                    state.failing = now;
                }
            }
            Sent::Refused { why } => {
                (state.tries, state.next, state.failing) = (0, 0, 0);
                self.lose(&letter.to, why);
                self.forget(letter);
            }
        }
    }

    fn forget(&mut self, letter: &Notification) {
        self.letters.retain(|other| (&other.id, &other.to) != (&letter.id, &letter.to));
    }

    /// Drops what is too old, and what is for nobody any more.
    pub fn tidy(&mut self, known: &[String], now: u64) {
        self.states.retain(|to, _| known.contains(to));
        self.letters.retain(|letter| known.contains(&letter.to));
        let old = |letter: &Notification| now.saturating_sub(letter.at) > OLDEST;
        let lost: Vec<_> = self.letters.extract_if(.., |letter| old(letter)).collect();
        for letter in lost {
            let why = self.states.get(&letter.to).map(|state| state.why.clone());
            self.lose(&letter.to, &why.unwrap_or_default());
        }
    }

    /// Destinations that are not well, with the letters that wait for them.
    pub fn troubled(&self) -> Vec<(String, DeliveryState, usize)> {
        let waiting = |to: &str| self.letters.iter().filter(|letter| letter.to == to).count();
        let states = self.states.iter().filter(|(_, state)| state.failing > 0 || state.lost > 0);
        states.map(|(to, state)| (to.clone(), state.clone(), waiting(to))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::{CommitState, Way};
    use std::time::Duration;

    fn letter(id: &str, to: &str, at: u64, context: &str) -> Notification {
        let content = Content::Commit(CommitState {
            revision: "r1".into(),
            context: context.into(),
            state: Way::Pending,
            description: String::new(),
        });
        Notification { id: id.into(), to: to.into(), at, content }
    }

    fn next(outbox: &Outbox, to: &str, now: u64) -> String {
        match outbox.next(to, now) {
            Next::Notification(letter) => letter.id,
            Next::At(at) => format!("at {at}"),
            Next::Nothing => "nothing".into(),
        }
    }

    fn later(seconds: Option<u64>) -> Sent {
        Sent::Later { why: "away".into(), wait: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn one_that_does_not_answer_is_tried_later_and_later_and_holds_up_no_other() {
        let mut outbox = Outbox::default();
        outbox.add(letter("1", "a", 0, "x"));
        outbox.add(letter("2", "a", 0, "y"));
        outbox.add(letter("3", "b", 0, "x"));
        let mut now = 0;
        let mut pauses = vec![];
        for _ in 0..10 {
            let Next::Notification(first) = outbox.next("a", now) else { panic!("it is due") };
            assert_eq!(first.id, "1", "in order");
            outbox.sent(&first, &later(None), now);
            let Next::At(at) = outbox.next("a", now) else { panic!("it waits") };
            pauses.push((at - now) / 1_000);
            now = at;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(next(&outbox, "b", 0), "3");
        let (to, state, waiting) = outbox.troubled().remove(0);
        assert_eq!((to.as_str(), state.why.as_str(), waiting), ("a", "away", 2));
        outbox.sent(&letter("1", "a", 0, "x"), &later(Some(3_000)), now);
        assert_eq!(next(&outbox, "a", now), format!("at {}", now + 3_000_000), "as asked");
        outbox.sent(&letter("1", "a", 0, "x"), &Sent::Done, now);
        assert_eq!(next(&outbox, "a", now), "2");
        assert!(outbox.troubled().is_empty());
    }

    #[test]
    fn what_is_refused_is_given_up_and_told_until_one_arrives() {
        let mut outbox = Outbox::default();
        outbox.add(letter("1", "a", 0, "x"));
        outbox.add(letter("2", "a", 0, "y"));
        outbox.sent(&letter("1", "a", 0, "x"), &Sent::Refused { why: "answered 401".into() }, 5);
        assert_eq!(next(&outbox, "a", 5), "2");
        assert_eq!(outbox.troubled()[0].1.lost, 1);
        outbox.sent(&letter("2", "a", 0, "y"), &Sent::Done, 6);
        assert!(outbox.troubled().is_empty());
    }

    #[test]
    fn the_queue_has_limits() {
        let mut outbox = Outbox::default();
        for number in 0..MOST + 2 {
            outbox.add(letter(&number.to_string(), "a", 0, &number.to_string()));
        }
        assert_eq!(next(&outbox, "a", 0), "2");
        assert_eq!(outbox.troubled()[0].1.lost, 2);
        outbox.add(letter("late", "a", OLDEST, "late"));
        outbox.add(letter("other", "gone", OLDEST, "x"));
        outbox.tidy(&["a".into()], OLDEST + 1);
        assert_eq!(next(&outbox, "a", OLDEST + 1), "late", "a day is enough");
        assert_eq!(outbox.letters.len(), 1, "nobody is called `gone` any more");
    }

    #[test]
    fn a_newer_word_on_a_commit_takes_the_place_of_one_that_waits() {
        let mut outbox = Outbox::default();
        outbox.add(letter("1", "a", 0, "x"));
        outbox.add(letter("2", "a", 1, "y"));
        outbox.add(letter("3", "a", 2, "x"));
        assert_eq!(next(&outbox, "a", 9), "2");
        outbox.sent(&letter("2", "a", 1, "y"), &Sent::Done, 9);
        assert_eq!(next(&outbox, "a", 9), "3");
    }
}
