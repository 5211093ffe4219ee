//! What an argument means: a path or a stack's name; a stack or a container.
//!
//! # Invariants
//! - For `plan`, `apply`, `up` and `down`, an argument with `/` or `.` is a path, else a stack's
//!   name; none is the current folder.
//! - For all others it is a stack's name or a target, never a path.

use crate::failure::{Failure, Result};
use keel_api::shapes::TaskRef;
use keel_api::{Client, ClientError};
use keel_engine::StackName;
use keel_reconciler::ask::RefusalKind;
use keel_reconciler::rows::PsAsk;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A path or a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Files to load.
    Path(PathBuf),
    /// A stack that is known.
    Stack(StackName),
}

impl Subject {
    /// Of an argument, by how it is written.
    pub fn of(argument: Option<&str>) -> Result<Self> {
        match argument {
            None => Ok(Self::Path(".".into())),
            Some(path) if path.contains(['/', '.']) => Ok(Self::Path(path.into())),
            Some(name) => stack(name).map(Self::Stack),
        }
    }

    /// As it was written.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Stack(name) => name.to_string(),
        }
    }
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
        let path = |text: &str| Subject::Path(text.into());
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
            assert_eq!(Subject::of(argument).unwrap(), subject, "{argument:?}");
        }
        assert!(Subject::of(Some("Blog")).is_err());
    }
}
