//! From the command line to the sources that are watched.

use crate::failure::{Failure, Result};
use crate::root::settled;
use keel_reconciler::config::{Follow, From, GitConfig, SourceConfig, parse_duration};
use keel_reconciler::shown_url;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `60s`, `5m`, `1m30s`.
pub fn poll(text: &str) -> std::result::Result<Duration, String> {
    let allowed = Duration::from_millis(100)..=Duration::from_secs(86_400);
    let time = parse_duration(text).filter(|time| allowed.contains(time));
    time.ok_or_else(|| "write it as 60s or 5m; at most a day".to_owned())
}

/// What the command line names.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// Watch a Git repository
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// Branch to follow [default: the one that HEAD names]
    #[arg(long, requires = "git", value_name = "NAME")]
    branch: Option<String>,
    /// Where its stacks are: every match that holds a Compose file is one
    #[arg(long, requires = "git", default_value = ".", value_name = "GLOB")]
    path: String,
    /// How often to look for pushes
    #[arg(long, requires = "git", default_value = "60s", value_name = "TIME", value_parser = poll)]
    poll: Duration,
    /// Compose files, or folders that hold them
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Those of the command line, of the configuration, and the repositories of our own that neither
/// of them names.
pub fn of(
    command_line: &Given,
    configured: Vec<SourceConfig>,
    own: Vec<SourceConfig>,
) -> Result<Vec<SourceConfig>> {
    let mut sources = crate::machine::with_own(configured, own);
    let named = given(command_line)?;
    sources.retain(|source| named.iter().all(|given| given.name != source.name));
    sources.extend(named);
    if sources.is_empty() {
        return Err(Failure::usage("nothing to serve: neither a path nor a source is given")
            .hint("`keel serve PATH`, `keel serve --git URL`, or name sources in keel.yaml"));
    }
    Ok(sources)
}

fn given(command_line: &Given) -> Result<Vec<SourceConfig>> {
    let mut sources: Vec<SourceConfig> = Vec::new();
    if let Some(url) = &command_line.git {
        let config = GitConfig {
            follow: Follow::Branch(command_line.branch.clone()),
            paths: vec![command_line.path.clone()],
            poll: command_line.poll,
            ..GitConfig::new(url)
        };
        sources.push(SourceConfig::new("default", From::Git(Box::new(config))));
    }
    for path in &command_line.paths {
        if !path.exists() {
            return Err(Failure::new(format!("there is no `{}`", path.display()))
                .hint("name a Compose file, or a folder that holds some"));
        }
        let name = free_name(&sources, path);
        sources.push(SourceConfig::new(name, From::folder(settled(path))));
    }
    Ok(sources)
}

/// The first source is `default`; further ones are called like their folder.
fn free_name(sources: &[SourceConfig], path: &Path) -> String {
    let taken = |name: &str| sources.iter().any(|source| source.name == name);
    if !taken("default") {
        return "default".to_owned();
    }
    let folder = settled(path);
    let folder = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..).map(|number| format!("{folder}-{number}"));
    let mut names = std::iter::once(folder.clone()).chain(numbered);
    names.find(|name| !taken(name)).expect("there is always a further number")
}

/// All of them, for people.
pub fn describe(sources: &[SourceConfig]) -> String {
    let one = |source: &SourceConfig| match &source.from {
        From::Directory { path, globs, .. } => format!("{}{}", path.display(), below(globs)),
        From::Git(config) => {
            let at = match &config.follow {
                Follow::Branch(Some(branch)) => format!(" at {branch}"),
                Follow::Tag(tag) => format!(" at {tag}"),
                Follow::Branch(None) => String::new(),
                Follow::Commit(commit) => format!(" at {}", keel_engine::short(commit)),
            };
            format!("{}{at}{}", shown_url(&config.url), below(&config.paths))
        }
    };
    sources.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn below(globs: &[String]) -> String {
    if globs == ["."] { String::new() } else { format!(", {}", globs.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_a_time() {
        assert_eq!(poll("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(poll("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "0s", "s", "1x", "-1", "2000h", "99999999999999999999s"] {
            assert!(poll(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_source_is_the_default_and_others_are_named_by_their_folder() {
        let mut sources = Vec::new();
        for path in ["/srv/a", "/srv/b", "/mnt/b"] {
            let name = free_name(&sources, Path::new(path));
            sources.push(SourceConfig::new(name, From::folder(path.into())));
        }
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["default", "b", "b-2"]);
        assert_eq!(describe(&sources), "/srv/a and /srv/b and /mnt/b");
        let git = GitConfig::new("https://me:s3cret@git.example.org/a");
        let git = [SourceConfig::new("a", From::Git(Box::new(git)))];
        assert_eq!(describe(&git), "https://git.example.org/a");
    }
}
