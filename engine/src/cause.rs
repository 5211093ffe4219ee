//! The causes of an error as texts, which can travel.

use std::error::Error;
use std::fmt;

/// Why something failed, and why that did: what an error and its sources said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    text: String,
    cause: Option<Box<Cause>>,
}

impl Cause {
    /// What an error says, with its sources.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let cause = error.source().map(|source| Box::new(Self::of(source)));
        Self { text: error.to_string(), cause }
    }

    /// From the outermost to the innermost; `None` of no texts.
    #[must_use]
    pub fn from_texts(texts: Vec<String>) -> Option<Self> {
        let outward = texts.into_iter().rev();
        outward.fold(None, |cause, text| Some(Self { text, cause: cause.map(Box::new) }))
    }

    /// From the outermost to the innermost.
    #[must_use]
    pub fn into_texts(self) -> Vec<String> {
        let (mut texts, mut next) = (Vec::new(), Some(Box::new(self)));
        while let Some(cause) = next {
            texts.push(cause.text);
            next = cause.cause;
        }
        texts
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
