//! Configs and secrets: content by digest, handed to the node beside the tasks.

use super::{Attempt, Lowering};
use keel_engine::{Content, Digest, FileMount};
use keel_spec::service::Grant;
use keel_spec::{Code, Config, Problem, Service};
use std::collections::BTreeMap;
use std::io;

impl Lowering<'_> {
    pub(super) fn configs(&mut self, service: &Service) -> Vec<FileMount> {
        let stack = self.stack;
        self.grants(service, &service.configs, &stack.configs, "configs")
    }

    pub(super) fn secrets(&mut self, service: &Service) -> Vec<FileMount> {
        let stack = self.stack;
        self.grants(service, &service.secrets, &stack.secrets, "secrets")
    }

    fn grants(
        &mut self,
        service: &Service,
        grants: &[Grant],
        known: &BTreeMap<String, Config>,
        field: &str,
    ) -> Vec<FileMount> {
        let mut mounts = Vec::new();
        for (index, grant) in grants.iter().enumerate() {
            let Some(config) = known.get(&grant.source) else { continue };
            match self.grant(grant, config) {
                Ok(mount) => mounts.extend(mount),
                Err(problem) => {
                    let origins = &config.origins;
                    let written = origins.get("file").or_else(|| origins.get("environment"));
                    match written {
                        Some(span) => self.file_once(problem.at(span.clone())),
                        None => {
                            self.report(*problem, service, &format!("{field}[{index}]"));
                        }
                    }
                }
            }
        }
        mounts.sort_by(|a, b| a.target.cmp(&b.target));
        mounts
    }

    /// Two services with the same broken secret are one problem.
    fn file_once(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn grant(&mut self, grant: &Grant, config: &Config) -> Attempt<Option<FileMount>> {
        let Some(bytes) = self.bytes(&grant.source, config)? else { return Ok(None) };
        let digest = Digest::of(&bytes);
        let content = Content { digest, bytes: bytes.into() };
        self.contents.insert(digest, content);
        Ok(Some(FileMount {
            name: grant.source.clone(),
            digest,
            target: grant.target.clone(),
            uid: number(grant.uid.as_deref(), "uid", &grant.source)?,
            gid: number(grant.gid.as_deref(), "gid", &grant.source)?,
            mode: grant.mode.filter(|mode| *mode != 0o444),
        }))
    }

    /// `None`: an external one, whose service is held.
    fn bytes(&self, name: &str, config: &Config) -> Attempt<Option<Vec<u8>>> {
        match &config.content {
            keel_spec::Content::External => Ok(None),
            keel_spec::Content::Inline(text) => Ok(Some(text.clone().into_bytes())),
            keel_spec::Content::Environment { value, .. } => Ok(Some(value.clone().into_bytes())),
            keel_spec::Content::File(path) => {
                let path = self.content_path(path)?;
                self.sources.read(&path).map(Some).map_err(|error| {
                    let (why, hint) = match error.kind() {
                        io::ErrorKind::NotFound => {
                            ("there is no such file".to_owned(), Some("put the file there"))
                        }
                        io::ErrorKind::IsADirectory => ("it is a folder".to_owned(), None),
                        _ => (error.to_string(), None),
                    };
                    let shown = self.in_repository(&path).unwrap_or(&path).display();
                    let message = format!("cannot read `{shown}` for `{name}`: {why}");
                    let problem = Problem::new(Code::Unreadable, message);
                    Box::new(Problem { hint: hint.map(str::to_owned), ..problem })
                })
            }
        }
    }
}

fn number(written: Option<&str>, what: &str, name: &str) -> Attempt<u32> {
    let Some(written) = written else { return Ok(0) };
    written.parse().map_err(|_| {
        let message = format!("{what} `{written}` of `{name}` is not a number");
        Box::new(Problem::new(Code::NotANumber, message))
    })
}
