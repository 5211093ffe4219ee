//! All that is remembered of what was told, and what is on its way: one record, so that deciding
//! and queueing are one step.

use super::about::Subject;
use super::deliveries::{Answers, Fares};
use super::drifted::{Found, Told};
use super::incident::{Incidents, Seen};
use super::outbox::Outbox;
use super::{Content, Destination, Kind, Message, Notification, Wants, words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is seen at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    /// Stacks and sources.
    pub subjects: BTreeMap<Subject, Seen>,
    /// By stack, with its source.
    pub drift: BTreeMap<String, (String, Vec<Found>)>,
    /// How the newest commits fare.
    pub fares: Vec<Fares>,
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Book {
    /// So many names were given.
    numbers: u64,
    incidents: Incidents,
    drift: BTreeMap<String, Told>,
    answers: Answers,
    pub outbox: Outbox,
}

/// Who is told, and by whom.
pub(super) struct Addressed<'a> {
    pub destinations: &'a [Destination],
    pub host: &'a str,
}

impl Book {
    /// Decides what of it is news, and queues it. Says whether time alone may bring more.
    pub fn look(&mut self, looked: &Looked, to: &Addressed<'_>, now: u64) -> bool {
        let known: Vec<_> = to.destinations.iter().map(|one| one.key.clone()).collect();
        self.outbox.tidy(&known, now);
        let mut numbers = self.numbers;
        let mut id = || name(&mut numbers, now);
        let incidents = self.incidents.look(&looked.subjects, now, &mut id);
        let mut messages: Vec<_> =
            incidents.iter().map(|news| words::of_incident(news, to.host, now)).collect();
        let mut waits = self.incidents.waits();
        self.drift.retain(|stack, _| looked.drift.contains_key(stack));
        for (stack, (source, found)) in &looked.drift {
            let told = self.drift.entry(stack.clone()).or_insert_with(|| Told::first(found));
            let news = told.look(found, now, &mut id);
            let all = news.iter().map(|news| words::of_drift(news, stack, source, to.host, now));
            messages.extend(all);
            waits |= told.waits(found);
        }
        self.numbers = numbers;
        for message in messages {
            self.tell(&message, to.destinations, now);
        }
        for (source, state) in self.answers.look(&looked.fares) {
            self.queue(
                Content::Commit(state),
                now,
                to.destinations,
                |wants| matches!(wants, Wants::Commits(of) if *of == source),
            );
        }
        waits
    }

    fn tell(&mut self, message: &Message, destinations: &[Destination], now: u64) {
        let kind: Kind = message.kind;
        self.queue(
            Content::Message(Box::new(message.clone())),
            now,
            destinations,
            |wants| matches!(wants, Wants::Messages(kinds) if kinds.contains(&kind)),
        );
    }

    fn queue(
        &mut self,
        content: Content,
        now: u64,
        destinations: &[Destination],
        wanted: impl Fn(&Wants) -> bool,
    ) {
        let id = name(&mut self.numbers, now);
        for one in destinations.iter().filter(|one| wanted(&one.wants)) {
            let (id, to, content) = (id.clone(), one.key.clone(), content.clone());
            self.outbox.add(Notification { id, to, at: now, content });
        }
    }
}

/// Nobody else's: of the moment, and counted.
fn name(numbers: &mut u64, now: u64) -> String {
    *numbers += 1;
    format!("{now:x}-{numbers}")
}
