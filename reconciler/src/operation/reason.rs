//! What a pass did, or why it did nothing: as data, and in words for people.

use keel_engine::{Failure, Slot};
use keel_plan::status::Note;
use keel_plan::text;
use keel_plan::verdict::{Action, Hold, PlanEntry, Reason, Subject, Verdict};
use keel_plan::why::{FailureCause, Holder, gist};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a pass did, or why it did nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OperationReason {
    /// Everything is as desired.
    AsDesired,
    /// The stack is gone, as was asked for.
    Removed,
    /// Everything runs; nobody watches for how long.
    Unwatched,
    /// The revision failed.
    Failed {
        /// What failed.
        cause: FailureCause,
    },
    /// The stack's files are refused.
    Refused {
        /// What is wrong with them, ready to print.
        why: String,
    },
    /// The pass itself, or a node, failed.
    Broken {
        /// The error with its causes.
        error: String,
    },
    /// Something is held, and why.
    Holds {
        /// What.
        subject: Subject,
        /// Why.
        hold: Hold,
    },
    /// Something is done, and why.
    Acts {
        /// To what.
        subject: Subject,
        /// What.
        action: Action,
        /// Why, without the values of variables.
        #[schemars(with = "serde_json::Value")]
        reason: Reason,
    },
    /// A newer revision came.
    Superseded {
        /// Which.
        by: String,
    },
    /// A person's number of tasks does not count any more.
    NumberEnded,
    /// In words, as an older version recorded it.
    #[serde(untagged)]
    Other(String),
}

impl Default for OperationReason {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl From<&PlanEntry> for OperationReason {
    fn from(entry: &PlanEntry) -> Self {
        let subject = entry.subject.clone();
        match &entry.verdict {
            Verdict::Hold(hold) => Self::Holds { subject, hold: hold.clone() },
            Verdict::Act { action, reason, .. } => {
                Self::Acts { subject, action: *action, reason: text::without_values(reason) }
            }
        }
    }
}

impl OperationReason {
    /// Whether both say the same, but for what counts up from one time to the next. Of what an older
    /// version recorded only the words are known.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(_), _) | (_, Self::Other(_)) => {
                gist(&self.to_string()) == gist(&other.to_string())
            }
            _ => self.uncounted() == other.uncounted(),
        }
    }

    /// Whether this only tells of that failure again.
    #[must_use]
    pub fn tells_of(&self, failure: &Self) -> bool {
        match (self, failure) {
            (Self::Other(_), _) | (_, Self::Other(_)) => {
                self.to_string().contains(&failure.to_string())
            }
            (
                Self::Holds { hold: Hold::KnownBad { cause, .. }, .. },
                Self::Failed { cause: failed },
            ) => keel_plan::text::is_same_failure(cause, failed),
            _ => self.plain() == failure.plain(),
        }
    }

    /// Whether a note of the status says all that this does.
    #[must_use]
    pub fn is_told_by(&self, note: &Note) -> bool {
        match (self, note) {
            (Self::Other(words), note) => text::of_note(note).contains(words.as_str()),
            (Self::Refused { why }, Note::Refused { why: noted, .. }) => why == noted,
            (Self::Holds { hold: of, .. }, Note::Image { reference, failure }) => {
                let (reference, failure) = (reference.clone(), failure.clone());
                let image = FailureCause::Image { reference, failure };
                matches!(of, Hold::Failed { cause } if *cause == image)
            }
            (
                Self::Holds { subject: Subject::Slot(own), hold },
                Note::Waits { slot, hold: noted },
            ) => own == slot && hold == noted,
            _ => match (self.plain(), note) {
                (Self::Failed { cause }, Note::RevisionFailed { cause: noted, .. }) => {
                    keel_plan::text::is_same_failure(&cause, noted)
                }
                (Self::Failed { cause }, Note::Failed { slot, cause: noted }) => {
                    is_in_slot(&cause, slot, noted)
                }
                _ => false,
            },
        }
    }

    /// Whether this says all that a note of the status does.
    #[must_use]
    pub fn tells(&self, note: &Note) -> bool {
        match (self, note) {
            (Self::Other(words), note) => words.contains(&text::of_note(note)),
            (
                Self::Holds { hold: Hold::KnownBad { cause, .. }, .. },
                Note::Failed { slot, cause: noted },
            ) => is_in_slot(cause, slot, noted),
            _ => self.is_told_by(note),
        }
    }

    /// In one form: what failed in a slot is told when it fails, and as long as it is so.
    fn plain(&self) -> Self {
        match self {
            Self::Holds {
                subject: Subject::Slot(slot),
                hold: Hold::Failed { cause } | Hold::Late { cause },
            } => {
                let (slot, cause) = (slot.clone(), Box::new(cause.clone()));
                Self::Failed { cause: FailureCause::InSlot { slot, cause } }
            }
            other => other.clone(),
        }
    }

    /// The same without how something ended in a crash loop, and without what counts up.
    #[must_use]
    pub fn without_ending(&self) -> Self {
        match self.uncounted() {
            Self::Failed { cause } => Self::Failed { cause: cause.without_ending() },
            Self::Holds { subject, hold: Hold::KnownBad { revision, cause } } => {
                let cause = cause.without_ending();
                Self::Holds { subject, hold: Hold::KnownBad { revision, cause } }
            }
            other => other,
        }
    }

    /// The same without what counts up from one time to the next.
    #[must_use]
    pub fn uncounted(&self) -> Self {
        match self.plain() {
            Self::Failed { cause } => Self::Failed { cause: cause.uncounted() },
            Self::Broken { error } => Self::Broken { error: gist(&error) },
            Self::Refused { why } => Self::Refused { why: gist(&why) },
            Self::Acts { subject, action, reason: Reason::Failed { cause } } => {
                Self::Acts { subject, action, reason: Reason::Failed { cause: cause.uncounted() } }
            }
            Self::Holds { subject, hold } => Self::Holds { subject, hold: uncounted_hold(hold) },
            other => other,
        }
    }
}

fn is_in_slot(cause: &FailureCause, slot: &Slot, noted: &FailureCause) -> bool {
    let (slot, noted) = (slot.clone(), Box::new(noted.clone()));
    keel_plan::text::is_same_failure(cause, &FailureCause::InSlot { slot, cause: noted })
}

fn uncounted_hold(hold: Hold) -> Hold {
    match hold {
        Hold::InProgress { activity } => Hold::InProgress { activity: activity.uncounted() },
        Hold::Failed { cause } => Hold::Failed { cause: cause.uncounted() },
        Hold::Late { cause } => Hold::Late { cause: cause.uncounted() },
        Hold::KnownBad { revision, cause } => Hold::KnownBad { revision, cause: cause.uncounted() },
        Hold::AwaitingImage { image, failure } => {
            let uncounted = |why: Failure| Failure { text: gist(&why.text), ..why };
            Hold::AwaitingImage { image, failure: failure.map(uncounted) }
        }
        other => other,
    }
}

/// The words for people.
impl fmt::Display for OperationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsDesired => f.write_str("everything is as desired"),
            Self::Removed => f.write_str("removed"),
            Self::Unwatched => f.write_str("everything runs; it is not watched until it settles"),
            Self::Failed { cause } => f.write_str(&text::of_failure(cause)),
            Self::Refused { why } => write!(f, "refused: {why}"),
            Self::Broken { error } => f.write_str(error),
            Self::Holds { subject, hold } => f.write_str(&of_hold(subject, hold)),
            Self::Acts { subject, action, reason } => {
                let words = text::of_action(*action, reason);
                match reason {
                    Reason::Failed { cause } if cause_names(cause, subject) => f.write_str(&words),
                    _ => write!(f, "{}: {words}", text::of_subject(subject)),
                }
            }
            Self::Superseded { by } => {
                write!(f, "superseded by revision {}", keel_engine::short(by))
            }
            Self::NumberEnded => f.write_str("ended before its tasks had settled"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// A hold as people would say it, with what it is about.
fn of_hold(subject: &Subject, hold: &Hold) -> String {
    let name = text::of_subject(subject);
    let words = match hold {
        Hold::Failed { cause } | Hold::Late { cause } => {
            let words = text::of_failure(cause);
            return if names(hold, subject) { words } else { format!("{name} {words}") };
        }
        Hold::InProgress { activity } => text::of_activity(activity),
        other => text::of_hold(other),
    };
    if names(hold, subject) { words } else { format!("{name}: {words}") }
}

/// Whether the words of a hold say what it is about.
fn names(hold: &Hold, subject: &Subject) -> bool {
    match (hold, subject) {
        (Hold::Failed { cause } | Hold::Late { cause } | Hold::KnownBad { cause, .. }, subject) => {
            cause_names(cause, subject)
        }
        (Hold::NotFound { subject: missing }, subject) => missing == subject,
        (Hold::AwaitingImage { image, .. }, Subject::Image(name)) => image == name,
        (Hold::OwnedBy { holder }, Subject::Volume(name)) => match holder {
            Holder::Maker { volume, .. } | Holder::VolumeOf { volume, .. } => volume == name,
            Holder::Owner(_) | Holder::Stack(_) => false,
        },
        _ => false,
    }
}

fn cause_names(cause: &FailureCause, subject: &Subject) -> bool {
    match (cause, subject) {
        (FailureCause::InSlot { slot, .. }, Subject::Slot(own)) => slot == own,
        (FailureCause::Image { reference, .. }, Subject::Image(name)) => reference == name,
        (FailureCause::Other(words), subject) => words.contains(&text::of_subject(subject)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
