//! What is wrong with something that a source names.

use keel_engine::StackName;
use serde::{Deserialize, Serialize};

/// What is wrong with something that a source names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct SourceProblem {
    /// The stack that it is about, where it is known to be about one alone.
    pub stack: Option<StackName>,
    /// Ready to print.
    pub text: String,
}

impl SourceProblem {
    /// Whether it may be about one of these stacks.
    #[must_use]
    pub fn concerns(&self, stacks: &[StackName]) -> bool {
        self.stack.as_ref().is_none_or(|stack| stacks.contains(stack))
    }
}

/// As it is stored; an older version had words only.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Whole { stack: Option<StackName>, text: String },
}

impl From<Form> for SourceProblem {
    fn from(form: Form) -> Self {
        match form {
            Form::Text(text) => Self { stack: None, text },
            Form::Whole { stack, text } => Self { stack, text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_stacks_mistake_is_not_this_ones() {
        let stack = |name: &str| StackName::new(name).expect("a name");
        let of = |name: &str| SourceProblem { stack: Some(stack(name)), text: "wrong".into() };
        let asked = [stack("blog")];
        assert!(of("blog").concerns(&asked));
        assert!(!of("other").concerns(&asked));
        let stored = serde_json::to_string(&of("blog")).unwrap();
        assert_eq!(serde_json::from_str::<SourceProblem>(&stored).unwrap(), of("blog"));
        let old: SourceProblem = serde_json::from_str(r#""error: wrong""#).unwrap();
        assert_eq!(old, SourceProblem { stack: None, text: "error: wrong".into() });
        assert!(old.concerns(&asked), "an older version did not say whose it is");
    }
}
