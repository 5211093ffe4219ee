//! A stack's past: one entry for each operation, from what began it to what became of it. Pure.
//!
//! # Invariants
//! - A pass that did nothing, and ended as the one before, adds nothing.
//! - Only the last entry can be open (`running`); another revision closes it.
//! - Equal entries in a row are one, counted, also where a few take turns; only the last [`KEPT`] are
//!   kept, those that brought a revision before others.
//! - What an entry says was done holds no content of a secret or config, and no values of variables.

use crate::operation::{Operation, OperationReason, OperationState, PastAction};
use crate::trigger::Trigger;
use serde::{Deserialize, Serialize};

/// Entries that are kept for each stack.
const KEPT: usize = 50;
/// Entries that are kept whatever they tell of, the latest.
const LATEST: usize = 10;
/// So many entries that take turns again and again are still told once.
const ROUND: usize = 3;
/// Actions that are kept for each entry; a stack of this size is not read line by line.
const ACTIONS: usize = 100;

/// A stack's entries, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(pub Vec<HistoryEntry>);

/// One operation. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// Of all stacks of the root, one up for each.
    pub number: u64,
    /// What or who began it.
    pub trigger: Trigger,
    /// What or who made its source be read, where it began with a revision that came.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// The revision that it was about.
    pub revision: String,
    /// Who wrote that revision, and its first line; empty where there is no commit.
    pub author: String,
    /// The commit's first line.
    pub subject: String,
    /// What became of it.
    pub state: OperationState,
    /// Why.
    pub reason: OperationReason,
    /// When it began.
    pub at: u64,
    /// When it was changed last.
    pub until: u64,
    /// In a row.
    pub times: u32,
    /// What was done, in order.
    pub actions: Vec<PastAction>,
    /// How long its source took to be asked for the revision that it began with; this and the two
    /// that follow in milliseconds.
    pub fetch: Option<u64>,
    /// How long that revision's files took to be read.
    pub load: Option<u64>,
    /// How long its first pass took to look and to decide.
    pub plan: Option<u64>,
    /// When all its images were there.
    pub pulled: Option<u64>,
    /// When all that was to be started had been.
    pub started: Option<u64>,
    /// The end of the output of what failed.
    pub log: Vec<String>,
}

/// What one pass came to: the entry that it would be by itself, and what is still open of it.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// What is told. Its number and what is counted over several passes are not looked at.
    pub entry: HistoryEntry,
    /// It begins with what the revision asks for: how that came here is part of it.
    pub arrives: bool,
    /// Images are still to come.
    pub pulling: bool,
    /// Something is still to be started or stopped.
    pub starting: bool,
}

/// How a stack's revision came to be what is desired: known by its refresh, told by the pass that
/// begins with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrival {
    /// Which.
    pub revision: String,
    /// Who wrote it; empty where there is no commit.
    pub author: String,
    /// The commit's first line.
    pub subject: String,
    /// What or who made the source be read.
    pub cause: String,
    /// How long it took to be fetched, in milliseconds.
    pub fetch: Option<u64>,
    /// How long the stack's files took to be read.
    pub load: Option<u64>,
}

impl Note {
    /// How the pass ended.
    #[must_use]
    pub fn operation(&self) -> Operation {
        let HistoryEntry { revision, state, reason, at, .. } = self.entry.clone();
        Operation { revision, state, reason, at }
    }

    /// The same, with how its revision came here.
    #[must_use]
    pub fn with_arrival(&self, arrival: Arrival) -> Self {
        let mut note = self.clone();
        let Arrival { revision: _, author, subject, cause, fetch, load } = arrival;
        (note.entry.author, note.entry.subject) = (author, subject);
        if self.arrives {
            (note.entry.fetch, note.entry.load) = (fetch, load);
            note.entry.cause = cause;
        }
        note
    }
}

impl History {
    /// Whether this would be a new entry, which needs a number.
    #[must_use]
    pub fn begins(&self, note: &Note) -> bool {
        match self.0.last() {
            Some(last) if last.state == OperationState::Running => {
                // The end of a person's number is no part of what setting it does.
                let is_end = matches!(note.entry.trigger, Trigger::ScaleEnded { .. });
                let is_over = is_end && matches!(last.trigger, Trigger::Scaled { .. });
                last.revision != note.entry.revision || is_over
            }
            Some(last) if last.comes_back_by(note) => false,
            last => is_news(last, &note.entry),
        }
    }

    /// Adds what a pass came to. `number` is for the entry that it may begin.
    pub fn note(&mut self, note: &Note, number: u64) {
        if let Some(last) = self.0.last_mut().filter(|last| last.comes_back_by(note)) {
            return last.does_also(&note.entry);
        }
        let begins = self.begins(note);
        if let Some(last) = self.0.last_mut().filter(|last| last.state == OperationState::Running) {
            match begins {
                true => last.overtaken(&note.entry),
                false => last.go_on(note),
            }
        }
        if begins {
            let mut entry =
                HistoryEntry { number, times: 1, until: note.entry.at, ..note.entry.clone() };
            entry.go_on(note);
            self.0.push(entry);
        }
        (1..=ROUND).for_each(|length| self.collapse(length));
        while self.0.len() > KEPT {
            self.0.remove(self.least());
        }
    }

    /// What ended as the ones before it did is the same once more: one entry, or a few that take turns
    /// (it fails, it runs, it fails).
    fn collapse(&mut self, length: usize) {
        let Some(middle) = self.0.len().checked_sub(length).filter(|middle| *middle >= length)
        else {
            return;
        };
        let (before, last) = self.0.split_at_mut(middle);
        let before = &mut before[middle - length..];
        // Pushed forth and back is no such round.
        let one_revision = last.iter().all(|entry| entry.revision == last[0].revision);
        let round = length == 1 || (one_revision && last.iter().all(|entry| entry.plan.is_none()));
        if !round || !before.iter().zip(last.iter()).all(|(one, other)| one.is_alike(other)) {
            return;
        }
        before.iter_mut().zip(last).for_each(|(one, again)| one.happened_again(again));
        self.0.truncate(middle);
    }

    /// The entry that is missed least: the oldest that brought no revision, but for the latest.
    fn least(&self) -> usize {
        let old = &self.0[..self.0.len().saturating_sub(LATEST)];
        old.iter().position(|entry| entry.plan.is_none()).unwrap_or(0)
    }
}

/// Something was done, or it is another trouble, or the trouble is over.
fn is_news(last: Option<&HistoryEntry>, note: &HistoryEntry) -> bool {
    if !note.actions.is_empty() {
        return true;
    }
    let quiet = matches!(note.state, OperationState::Succeeded | OperationState::Running);
    match last {
        None => !quiet,
        Some(last) if quiet => {
            last.state != OperationState::Succeeded && note.state == OperationState::Succeeded
        }
        Some(last) => {
            (&last.revision, last.state) != (&note.revision, note.state)
                || !last.reason.is_alike(&note.reason)
        }
    }
}

impl HistoryEntry {
    /// What or who began it, for people.
    #[must_use]
    pub fn began_by(&self) -> String {
        let Self { trigger, cause, .. } = self;
        if cause.is_empty() { trigger.to_string() } else { format!("{trigger}, {cause}") }
    }

    /// Whether the same began both, whichever version recorded them.
    fn began_alike(&self, other: &Self) -> bool {
        match (&self.trigger, &other.trigger) {
            (Trigger::Other(_), _) | (_, Trigger::Other(_)) => self.began_by() == other.began_by(),
            (one, two) => one == two && self.cause == other.cause,
        }
    }

    /// Whether both tell of the same, ended the same way.
    fn is_alike(&self, other: &Self) -> bool {
        let (one, two) = (self, other);
        other.state != OperationState::Running
            && (&one.revision, one.state) == (&two.revision, two.state)
            && one.began_alike(two)
            && one.reason.is_alike(&two.reason)
            && one.did_alike(two)
    }

    fn did_alike(&self, other: &Self) -> bool {
        self.actions.len() == other.actions.len()
            && self.actions.iter().zip(&other.actions).all(|(one, two)| one.is_alike(two))
    }

    fn happened_again(&mut self, again: &Self) {
        (self.until, self.times) = (again.until, self.times + again.times);
        self.reason.clone_from(&again.reason);
        self.actions.clone_from(&again.actions);
        if !again.log.is_empty() {
            self.log.clone_from(&again.log);
        }
    }

    fn go_on(&mut self, note: &Note) {
        let (before, now) = (self.clone(), &note.entry);
        self.does_also(now);
        (self.state, self.reason) = (now.state, now.reason.clone());
        if !note.pulling {
            self.pulled.get_or_insert(now.at);
            if !note.starting {
                self.started.get_or_insert(now.at);
            }
        }
        if *self != before {
            self.until = now.at;
        }
    }

    /// Whether a pass only does what this failure asks for: what was good before comes back.
    fn comes_back_by(&self, note: &Note) -> bool {
        let now = &note.entry;
        let of_itself = now.trigger.is_look() && !note.arrives && now.revision == self.revision;
        let same = now.state == OperationState::Running || now.reason.tells_of(&self.reason);
        self.state == OperationState::Failed && of_itself && same
    }

    /// How it ended, and when, is not changed by that.
    fn does_also(&mut self, now: &Self) {
        let fresh: Vec<_> =
            now.actions.iter().filter(|action| !self.actions.contains(action)).cloned().collect();
        self.actions.extend(fresh);
        self.actions.truncate(ACTIONS);
    }

    fn overtaken(&mut self, note: &Self) {
        self.state = OperationState::Held;
        self.reason = match note.revision == self.revision {
            true => OperationReason::NumberEnded,
            false => OperationReason::Superseded { by: note.revision.clone() },
        };
        self.until = note.at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OperationState::{Failed, Held, Running, Succeeded};
    use keel_plan::why::gist;

    fn note(revision: &str, state: OperationState, actions: &[&str], at: u64) -> Note {
        let entry = HistoryEntry {
            trigger: Trigger::Other("push".into()),
            revision: revision.into(),
            state,
            reason: OperationReason::Other(format!("{state:?}").to_lowercase()),
            at,
            actions: actions.iter().map(|one| PastAction::Words((*one).to_owned())).collect(),
            ..HistoryEntry::default()
        };
        Note { entry, ..Note::default() }
    }

    fn told(notes: &[Note]) -> String {
        let mut history = History::default();
        for (number, note) in (1..).zip(notes) {
            history.note(note, number);
        }
        let line = |entry: &HistoryEntry| {
            let HistoryEntry { number, revision, reason, times, at, until, .. } = entry;
            let actions: Vec<_> = entry.actions.iter().map(ToString::to_string).collect();
            format!("{number} {revision} {reason} ×{times} {at}-{until} {actions:?}\n")
        };
        history.0.iter().map(line).collect()
    }

    #[test]
    fn an_operation_is_one_entry_from_its_beginning_to_its_end() {
        let text = told(&[
            note("r1", Running, &["start web.1"], 1),
            note("r1", Running, &[], 2),
            note("r1", Running, &["start web.2"], 3),
            note("r1", Succeeded, &[], 9),
            note("r1", Succeeded, &[], 10),
        ]);
        assert_eq!(text, "1 r1 succeeded ×1 1-9 [\"start web.1\", \"start web.2\"]\n");
    }

    #[test]
    fn the_end_of_a_persons_number_is_an_operation_of_its_own() {
        let scale = keel_plan::standing::ScaleOverride {
            replicas: 3,
            by: "ann".into(),
            since: 1,
            until: Some(5),
            reason: None,
        };
        let service = "web".to_owned();
        let mut set = note("r1", Running, &["start web.3"], 1);
        set.entry.trigger = Trigger::Scaled { service: service.clone(), scale: scale.clone() };
        let mut end = note("r1", Running, &["remove web.3"], 5);
        end.entry.trigger = Trigger::ScaleEnded { service, scale };
        let text = told(&[set, end, note("r1", Succeeded, &[], 6)]);
        insta::assert_snapshot!(text, @r#"
        1 r1 ended before its tasks had settled ×1 1-5 ["start web.3"]
        2 r1 succeeded ×1 5-6 ["remove web.3"]
        "#);
    }

    #[test]
    fn a_newer_revision_closes_what_is_under_way() {
        let text = told(&[
            note("r1", Running, &["start web.1"], 1),
            note("r2", Running, &["replace web.1"], 2),
            note("r2", Failed, &[], 3),
            note("r2", Failed, &[], 4),
        ]);
        insta::assert_snapshot!(text, @r#"
        1 r1 superseded by revision r2 ×1 1-2 ["start web.1"]
        2 r2 failed ×1 2-3 ["replace web.1"]
        "#);
    }

    #[test]
    fn what_comes_back_after_a_failure_belongs_to_it() {
        let look = |state, reason: &str, actions: &[&str], at| {
            let mut note = note("r2", state, actions, at);
            note.entry.trigger = Trigger::Look;
            note.entry.reason = OperationReason::Other(reason.into());
            note
        };
        let text = told(&[
            note("r2", Running, &["replace web.1"], 1),
            note("r2", Failed, &[], 3),
            look(Running, "starts", &["start web.1 of r1"], 4),
            look(Failed, "r2 is known bad: failed", &[], 5),
            look(Failed, "the port is taken", &[], 9),
        ]);
        insta::assert_snapshot!(text, @r#"
        1 r2 failed ×1 1-3 ["replace web.1", "start web.1 of r1"]
        5 r2 the port is taken ×1 9-9 []
        "#);
    }

    #[test]
    fn equal_operations_in_a_row_are_counted() {
        let heal =
            |at| [note("r1", Running, &["restart web.1"], at), note("r1", Succeeded, &[], at + 1)];
        let text = told(&[heal(1), heal(5), heal(8)].concat());
        assert_eq!(text, "1 r1 succeeded ×3 1-9 [\"restart web.1\"]\n");
    }

    #[test]
    fn a_crash_loop_is_a_few_entries_and_deploys_stay() {
        let crashed = |times: u64, at| {
            let mut note = note("r2", Failed, &[], at);
            note.entry.trigger = Trigger::Look;
            note.entry.reason = OperationReason::Other(format!("web.1 exited (3) {times} times"));
            note
        };
        let deploy = |revision: &str, at| {
            let mut note = note(revision, Succeeded, &["replace web.1"], at);
            (note.arrives, note.entry.plan) = (true, Some(4));
            note
        };
        let mut notes = vec![deploy("r1", 1), deploy("r2", 2)];
        for round in 1..400 {
            notes.push(crashed(round, round * 10));
            notes.push(note("r2", Succeeded, &[], round * 10 + 5));
        }
        let mut other = note("r2", Failed, &[], 5_000);
        other.entry.reason = OperationReason::Other("web.1 exited (137) 3 times".into());
        notes.push(other);
        insta::assert_snapshot!(told(&notes), @r#"
        1 r1 succeeded ×1 1-1 ["replace web.1"]
        2 r2 succeeded ×1 2-2 ["replace web.1"]
        3 r2 web.1 exited (3) 399 times ×399 10-3990 []
        4 r2 succeeded ×399 15-3995 []
        801 r2 web.1 exited (137) 3 times ×1 5000-5000 []
        "#);
        // Whatever never is the same takes no deploy's place.
        let mut notes = vec![deploy("r1", 1), deploy("r2", 2)];
        let other = |at| note("r2", Succeeded, &[&format!("start web.{at}")], at);
        notes.extend((10..200).map(other));
        let text = told(&notes);
        assert!(text.starts_with("1 r1 ") && text.contains("\n2 r2 "), "{text}");
        assert_eq!(text.lines().count(), KEPT);
    }

    #[test]
    fn what_counts_up_is_no_other_reason() {
        for (one, other, same) in [
            ("web.1 exited (3) 3 times", "web.1 exited (3) 17 times", true),
            ("taken by python3 (pid 45)", "taken by python3 (pid 4509)", true),
            ("web.1 exited (3) 3 times", "web.1 exited (1) 3 times", false),
            ("web.1 exited (3) 3 times", "web.2 exited (3) 3 times", false),
            ("port 80 is taken", "port 8080 is taken", false),
        ] {
            assert_eq!(gist(one) == gist(other), same, "{one} / {other}");
        }
    }

    #[test]
    fn trouble_without_an_action_is_told_and_so_is_its_end() {
        let text = told(&[
            note("r1", Succeeded, &[], 1),
            note("r1", Held, &[], 2),
            note("r1", Held, &[], 3),
            note("r1", Succeeded, &[], 4),
        ]);
        insta::assert_snapshot!(text, @r"
        2 r1 held ×1 2-2 []
        4 r1 succeeded ×1 4-4 []
        ");
    }

    #[test]
    fn how_a_revision_came_is_part_of_what_it_began() {
        let arrival = Arrival {
            revision: "r1".into(),
            author: "Ann".into(),
            subject: "Newer".into(),
            cause: "webhook".into(),
            fetch: Some(80),
            load: Some(2),
        };
        let begun = Note { arrives: true, ..note("r1", Running, &["start web.1"], 1) };
        let begun = begun.with_arrival(arrival.clone()).entry;
        assert_eq!((begun.began_by().as_str(), begun.author.as_str()), ("push, webhook", "Ann"));
        assert_eq!((begun.fetch, begun.load), (Some(80), Some(2)));
        let healed = note("r1", Running, &["start web.1"], 9).with_arrival(arrival).entry;
        assert_eq!((healed.began_by().as_str(), healed.author.as_str()), ("push", "Ann"));
        assert_eq!((healed.fetch, healed.load), (None, None), "it came long ago");
    }
}
