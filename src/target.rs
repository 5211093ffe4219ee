//! What an argument means: a path or a stack's name; a stack or a container.
//!
//! # Invariants
//! - For `plan`, `apply`, `up` and `down`, an argument with `/` or `.` is a path, else a stack's
//!   name; none is the current folder.
//! - For all others it is a stack's name or a target, never a path.

use crate::args::Files;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::load::Asked;
use keel_api::shapes::TaskRef;
use keel_api::{Client, ClientError};
use keel_engine::StackName;
use keel_reconciler::ask::RefusalKind;
use keel_reconciler::rows::PsAsk;
use std::collections::BTreeSet;

/// A path or a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Files to load.
    Files(Asked),
    /// A stack that is known.
    Stack(StackName),
}

impl Subject {
    /// Of an argument, by how it is written, and of what else is asked of its files.
    pub fn of(argument: Option<&str>, files: Files, context: &Context) -> Result<Self> {
        Self::written(argument, files.after(&context.files))
    }

    fn written(argument: Option<&str>, files: Files) -> Result<Self> {
        match argument {
            Some(path) if !files.files.is_empty() => Err(named_twice(path)),
            None => Ok(Self::Files(Asked { path: ".".into(), files })),
            Some(path) if path.contains(['/', '.']) => {
                Ok(Self::Files(Asked { path: path.into(), files }))
            }
            Some(name) if files.is_empty() => stack(name).map(Self::Stack),
            Some(name) => Err(Failure::usage(format!("stack {name} is not read from files here"))
                .hint(format!("a path has a `/` or `.`: `./{name}`"))),
        }
    }

    /// As it was written.
    pub fn shown(&self) -> String {
        match self {
            Self::Files(asked) => asked.shown(),
            Self::Stack(name) => name.to_string(),
        }
    }
}

/// Files and a path besides.
pub fn named_twice(path: &str) -> Failure {
    Failure::usage(format!("`{path}` beside `-f`: either names the files"))
        .hint("leave one of them out; `--project-directory` says where relative paths begin")
}

/// A stack's name.
pub fn stack(name: &str) -> Result<StackName> {
    StackName::new(name).map_err(|error| {
        Failure::usage(error.to_string()).hint(format!("a path has a `/` or `.`: `./{name}`"))
    })
}

/// The tasks that a target or a stack's name means.
pub async fn tasks(client: &Client, word: &str) -> Result<Vec<TaskRef>> {
    let mut all = Vec::new();
    for target in spread_one(client, word).await? {
        all.extend(client.resolve(&target).await?);
    }
    Ok(all)
}

/// Targets with each stack's name replaced by its services, for what acts on targets alone.
pub async fn spread(client: &Client, words: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for word in words {
        all.extend(spread_one(client, word).await?);
    }
    Ok(all)
}

/// A container that is called like a stack is meant before the stack.
async fn spread_one(client: &Client, word: &str) -> Result<Vec<String>> {
    match client.resolve(word).await {
        Ok(_) => Ok(vec![word.to_owned()]),
        Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {
            services_of(client, word).await?.ok_or_else(|| refusal.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// `STACK/SERVICE` of every service that has a container, if the word is a stack that has any.
async fn services_of(client: &Client, word: &str) -> Result<Option<Vec<String>>> {
    let Ok(name) = StackName::new(word) else { return Ok(None) };
    let rows = client.ps(&PsAsk { all: true, stacks: vec![name], services: vec![] }).await?;
    let named = rows.iter().map(|row| format!("{}/{}", row.stack, row.service));
    let services: BTreeSet<_> = named.collect();
    Ok((!services.is_empty()).then(|| services.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_path_or_a_stack_by_how_it_is_written() {
        let none = Files::default;
        let path = |text: &str| Subject::Files(Asked { path: text.into(), files: none() });
        let named = |text: &str| Subject::Stack(StackName::new(text).unwrap());
        let cases = [
            (None, path(".")),
            (Some("."), path(".")),
            (Some("blog"), named("blog")),
            (Some("./blog"), path("./blog")),
            (Some("stacks/blog"), path("stacks/blog")),
            (Some("compose.yaml"), path("compose.yaml")),
            (Some("/srv"), path("/srv")),
        ];
        for (argument, subject) in cases {
            assert_eq!(Subject::written(argument, none()).unwrap(), subject, "{argument:?}");
        }
        assert!(Subject::written(Some("Blog"), none()).is_err());
    }

    #[test]
    fn files_make_one_stack_and_are_named_once() {
        let files = Files { files: vec!["a.yaml".into()], ..Files::default() };
        let named = Files { project_name: Some("shop".into()), ..Files::default() };
        let asked = Asked { path: ".".into(), files: files.clone() };
        assert_eq!(Subject::written(None, files.clone()).unwrap(), Subject::Files(asked));
        assert!(Subject::written(Some("./blog"), files.clone()).is_err());
        assert!(Subject::written(Some("blog"), files).is_err());
        assert!(Subject::written(Some("blog"), named.clone()).is_err(), "it has a name");
        assert!(Subject::written(Some("./blog"), named).is_ok());
    }
}
