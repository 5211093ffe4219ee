//! Something that an operation did: as data, and in words for people.

use keel_plan::text;
use keel_plan::verdict::{Action, PlanEntry, Reason, Subject, Verdict};
use keel_plan::why::gist;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that an operation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[non_exhaustive]
pub enum PastAction {
    /// As the plan decided it.
    Act {
        /// To what.
        subject: Subject,
        /// What.
        action: Action,
        /// Why, without the values of variables.
        #[schemars(with = "serde_json::Value")]
        reason: Reason,
    },
    /// In words, as an older version recorded it.
    Words(String),
}

impl PastAction {
    /// What a verdict did; `None` for a hold.
    pub(crate) fn of(entry: &PlanEntry) -> Option<Self> {
        let Verdict::Act { action, reason, .. } = &entry.verdict else { return None };
        let (subject, reason) = (entry.subject.clone(), text::without_values(reason));
        Some(Self::Act { subject, action: *action, reason })
    }

    /// The same without what counts up from one time to the next.
    pub(crate) fn uncounted(&self) -> Self {
        match self {
            Self::Act { subject, action, reason: Reason::Failed { cause } } => Self::Act {
                subject: subject.clone(),
                action: *action,
                reason: Reason::Failed { cause: cause.uncounted() },
            },
            Self::Act { .. } => self.clone(),
            Self::Words(words) => Self::Words(gist(words)),
        }
    }

    /// Whether both tell of the same, whichever version recorded them.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        match (self.uncounted(), other.uncounted()) {
            (one @ Self::Act { .. }, two @ Self::Act { .. }) => one == two,
            (one, two) => gist(&one.to_string()) == gist(&two.to_string()),
        }
    }
}

/// The words for people: `web.1 replace: image was web:1, is web:2`.
impl fmt::Display for PastAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act { subject, action, reason } => {
                write!(f, "{} {}", text::of_subject(subject), text::of_action(*action, reason))
            }
            Self::Words(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_plan::why::PersonsCommand;

    #[test]
    fn both_forms_are_read_and_compared() {
        let reason = Reason::Asked { command: PersonsCommand::Restart };
        let subject = Subject::Network("shop_default".into());
        let act = PastAction::Act { subject, action: Action::Create, reason };
        let stored = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<PastAction>(&stored).unwrap(), act);
        let words = act.to_string();
        let old: PastAction = serde_json::from_str(&format!("{words:?}")).unwrap();
        assert_eq!(old, PastAction::Words(words.clone()));
        assert_eq!(old.to_string(), words);
        assert!(act.is_alike(&old), "an upgrade is not another thing that was done");
        let counted = |times| PastAction::Words(format!("web.1 restart: it crashed {times} times"));
        assert!(counted(3).is_alike(&counted(4)));
        assert!(!counted(3).is_alike(&act));
    }
}
