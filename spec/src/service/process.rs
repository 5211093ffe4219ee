//! What runs in the container, as whom, and in what surroundings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::code::Code;
use crate::decode::Field;
use crate::nearest;
use crate::problem::Problem;
use keel_names::signal;

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// `command` in words; absent: the image's; empty: none.
    pub command: Option<Vec<String>>,
    /// `entrypoint` in words; absent: the image's; empty: none. When given, the image's command
    /// does not apply.
    pub entrypoint: Option<Vec<String>>,
    /// The environment, env files included. `None` takes the variable away from the image's.
    pub environment: BTreeMap<String, Option<String>>,
    /// `working_dir`.
    pub working_dir: Option<String>,
    /// `user`: a name or number, with `:group` or without.
    pub user: Option<String>,
    /// `group_add`: names or numbers.
    pub group_add: Vec<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `domainname`.
    pub domainname: Option<String>,
    /// `tty`.
    pub tty: bool,
    /// `stdin_open`.
    pub stdin_open: bool,
    /// `init`; absent: the engine's default.
    pub init: Option<bool>,
    /// `stop_signal`: a name or number; absent: the image's.
    pub stop_signal: Option<String>,
    /// `stop_grace_period`; absent: 10 s.
    pub stop_grace_period: Option<Duration>,
}

/// When to pull the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Before each start.
    Always,
    /// Not at all; not being there is an error.
    Never,
}

impl Process {
    /// Reads the topic's keys. The environment is the service's own; env files come later.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let flag = |key| service.get(key).and_then(|field| field.boolean());
        // An empty text is what an unset variable leaves; it means what leaving the key out means.
        let text = |key| {
            let text = service.get(key).and_then(|field| field.text());
            text.filter(|text| !text.is_empty())
        };
        let words = |key| service.get(key).and_then(|field| field.words());
        Self {
            command: words("command"),
            entrypoint: words("entrypoint"),
            environment: service
                .get("environment")
                .map(|field| environment(&field))
                .unwrap_or_default(),
            working_dir: text("working_dir").inspect(|path| {
                if let Some(field) = service.get("working_dir").filter(|_| !path.starts_with('/')) {
                    field.hold("the path in the container is not absolute");
                }
            }),
            user: service
                .get("user")
                .and_then(|field| user(&field))
                .filter(|text| !text.is_empty()),
            group_add: service
                .get("group_add")
                .map(|field| field.loose_texts())
                .unwrap_or_default(),
            hostname: text("hostname"),
            domainname: text("domainname"),
            tty: flag("tty").unwrap_or_default(),
            stdin_open: flag("stdin_open").unwrap_or_default(),
            init: flag("init"),
            stop_signal: service.get("stop_signal").and_then(|field| stop_signal(&field)),
            stop_grace_period: service.get("stop_grace_period").and_then(|field| field.duration()),
        }
    }
}

fn stop_signal(field: &Field<'_>) -> Option<String> {
    let text = field.loose_text()?;
    if !text.is_empty() && signal::number(&text).is_none() {
        let message = format!("{} is `{text}`, which is not a signal", field.name());
        let problem = Problem::new(Code::BadValue, message).at(field.place().clone());
        field.scope.add(Problem { hint: nearest_signal(&text), ..problem });
    }
    Some(text)
}

fn nearest_signal(text: &str) -> Option<String> {
    nearest::of(&signal::plain(text), signal::names())
        .map(|name| format!("did you mean `SIG{name}`?"))
}

fn user(field: &Field<'_>) -> Option<String> {
    let text = field.lenient_text()?;
    if text.matches(':').count() > 1 {
        return field.bad("`USER[:GROUP]`");
    }
    Some(text)
}

fn environment(field: &Field<'_>) -> BTreeMap<String, Option<String>> {
    let variable = |(name, value): (&str, Field<'_>)| {
        if name.is_empty() {
            value.refuse(
                Code::BadValue,
                format!("a variable of {} has no name", value.scope.subject),
            );
            return None;
        }
        if value.item.is_null() {
            value.mark();
            return Some((name.to_owned(), None));
        }
        Some((name.to_owned(), Some(value.loose_text()?)))
    };
    field.entries().into_iter().filter_map(variable).collect()
}

impl PullPolicy {
    /// Reads `pull_policy`; what is not run yet is held.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let Some(field) = service.get("pull_policy") else { return Self::default() };
        let Some(text) = field.text() else { return Self::default() };
        match text.as_str() {
            "always" => Self::Always,
            "never" => Self::Never,
            "missing" | "if_not_present" => Self::Missing,
            "build" => {
                field.hold("images are not built");
                Self::default()
            }
            word @ ("daily" | "weekly" | "refresh") => {
                field.hold(&format!("`{word}` pulls by the calendar"));
                Self::default()
            }
            word if word.starts_with("every_") => {
                field.hold("pulling again after a time is not done");
                Self::default()
            }
            _ => {
                field.bad::<()>("one of `always`, `missing`, `never`, `build`, `daily`, `weekly`, `every_DURATION`");
                Self::default()
            }
        }
    }
}
