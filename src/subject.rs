//! What an argument means: a path or a stack's name; a stack or a container.
//!
//! # Invariants
//! - For `plan`, `apply`, `up` and `down`, an argument with `/` or `.` is a path, else a stack's
//!   name; none is the current folder. For `up` it is a service first, where docker compose has it so.
//! - For all others it is a stack's name or a target, never a path.

mod tasks;

use crate::args::Files;
use crate::connect::unasked;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::load::{self, Asked};
use keel_api::{Client, ClientError};
use keel_engine::StackName;
use keel_reconciler::ask::RefusalKind;
use std::path::Path;

pub use tasks::{in_full, spread, still_meant, tasks};

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

/// Whether a word is a service, as docker compose has it: always where files or a project are named,
/// else where the current folder's stack has it and no other stack is called so.
pub async fn is_service(context: &Context, files: &Files, word: &str) -> bool {
    if !files.is_empty() {
        return true;
    }
    let Some(here) = load::service_here(context, files, word) else { return false };
    let Ok(name) = StackName::new(word) else { return true };
    if name == here {
        return true;
    }
    let Some(connection) = unasked(context).await else { return true };
    let known = connection.client.status(vec![name]).await.is_ok();
    connection.close().await;
    !known
}

/// Files and a path besides.
pub fn named_twice(path: &str) -> Failure {
    Failure::usage(format!("`{path}` and `-f` both name files: give one of them"))
        .hint("leave one of them out; `--project-directory` says where relative paths begin")
}

/// A stack's name.
pub fn stack(name: &str) -> Result<StackName> {
    StackName::new(name).map_err(|error| {
        Failure::usage(error.to_string()).hint(format!("a path has a `/` or `.`: `./{name}`"))
    })
}

/// A stack that is not known, though something here is called so: it was meant as a path.
pub async fn known(client: &Client, subject: &Subject) -> Result<()> {
    let Subject::Stack(name) = subject else { return Ok(()) };
    match (client.status(vec![name.clone()]).await, path_meant(name)) {
        (Err(ClientError::Refused(refusal)), Some(hint))
            if refusal.kind == RefusalKind::NotFound =>
        {
            Err(Failure::new(refusal.message).hint(hint))
        }
        (Err(error), _) => Err(error.into()),
        (Ok(_), _) => Ok(()),
    }
}

/// Where something here is called like a stack: how to name it.
pub fn path_meant(name: &StackName) -> Option<String> {
    Path::new(name.as_str()).exists().then(|| format!("`./{name}` names the files here"))
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
