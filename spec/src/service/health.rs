//! The health check.

use std::time::Duration;

use crate::code::Code;
use crate::decode::Field;
use crate::item::Node;
use crate::problem::Problem;

/// `healthcheck`; what is absent comes from the image's, then from the engine's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is run.
    pub test: Test,
    /// Between two checks; default 30 s.
    pub interval: Option<Duration>,
    /// How long one check may take; default 30 s.
    pub timeout: Option<Duration>,
    /// How many failures in a row make it unhealthy; default 3.
    pub retries: Option<u32>,
    /// How long failures do not count after the start; default 0.
    pub start_period: Option<Duration>,
    /// Between two checks in the start period; default 5 s.
    pub start_interval: Option<Duration>,
}

/// What a health check runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Test {
    /// The image's test.
    #[default]
    Inherit,
    /// Nothing: the image's check is switched off.
    Disabled,
    /// These words.
    Exec(Vec<String>),
    /// This line, by the container's shell.
    Shell(String),
}

impl Health {
    /// Reads `healthcheck`.
    pub(crate) fn decode(service: &Field<'_>) -> Option<Self> {
        let field = service.get("healthcheck")?;
        field.mark();
        let period = |key| field.get(key).and_then(|field| field.duration());
        let disabled = field.get("disable").and_then(|field| field.boolean()).unwrap_or_default();
        let test = field.get("test").and_then(|field| Test::decode(&field)).unwrap_or_default();
        Some(Self {
            test: if disabled { Test::Disabled } else { test },
            interval: period("interval"),
            timeout: period("timeout"),
            retries: field.get("retries").and_then(|field| field.whole()),
            start_period: period("start_period"),
            start_interval: period("start_interval"),
        })
    }
}

impl Test {
    fn decode(field: &Field<'_>) -> Option<Self> {
        field.mark();
        if let Node::Scalar(_) = field.item.node {
            return field.text().map(Self::Shell);
        }
        let words = field.texts();
        let (first, rest) = words.split_first()?;
        match (first.as_str(), rest) {
            ("NONE", []) => Some(Self::Disabled),
            ("CMD", [_, ..]) => Some(Self::Exec(rest.to_vec())),
            ("CMD-SHELL", [line]) => Some(Self::Shell(line.clone())),
            ("CMD-SHELL", [_, ..]) => Some(Self::Shell(rest.join(" "))),
            ("NONE", _) => field.bad_test("`NONE` stands alone"),
            ("CMD" | "CMD-SHELL", []) => field.bad_test("it runs nothing"),
            _ => field.bad_test("its first word must be `CMD`, `CMD-SHELL` or `NONE`"),
        }
    }
}

impl Field<'_> {
    fn bad_test<T>(&self, why: &str) -> Option<T> {
        let at = self.item.items().first().map_or_else(|| self.place(), |first| &first.span);
        let problem = Problem::new(Code::BadValue, format!("{} means nothing: {why}", self.name()));
        let hint = "write `[\"CMD\", \"program\", \"argument\"]`, or one text for the shell";
        self.scope.add(problem.at(at.clone()).hint(hint));
        None
    }
}
