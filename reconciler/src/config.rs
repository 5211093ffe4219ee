//! `keel.yaml`: what of it is obeyed. All else is refused with its position: a policy that is
//! ignored is a lie.
//!
//! # Invariants
//! - Pure: text in, [`Config`] or printed problems out. All problems are told at once.

use crate::yaml::{Item, Node, Trouble, parse};
use keel_plan::desired::{DriftPolicy, Policy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks at a Git source, where nothing else is said.
pub const POLL: Duration = Duration::from_secs(60);

/// A source, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name in `keel.yaml`, or `default`.
    pub name: String,
    /// Where its stacks come from.
    pub from: From,
}

/// Where a source's stacks come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A branch of a Git repo.
    Git {
        /// http(s), ssh (also `git@host:path`), file or a plain path.
        url: String,
        /// The branch; `None` is the one that HEAD names.
        branch: Option<String>,
        /// Glob of the folders in the repo; every match that holds a Compose file is a stack.
        path: String,
        /// Between two looks.
        poll: Duration,
    },
    /// A Compose file, a folder that holds one, or a folder whose direct subfolders do.
    Directory {
        /// Absolute.
        path: PathBuf,
    },
}

/// How a registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Asked first, in order; `http://` ones without TLS.
    pub mirrors: Vec<String>,
    /// Reached over HTTP.
    pub insecure: bool,
}

/// All that is obeyed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// By name.
    pub sources: Vec<SourceConfig>,
    /// Defaults of every stack's policy.
    pub policy: Policy,
    /// By host.
    pub registries: BTreeMap<String, RegistryConfig>,
}

/// `keel.yaml` cannot be obeyed. Its display is every problem, with position and excerpt.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Config {
    /// Reads the text of the file that is shown under this name.
    pub fn parse(text: &str, shown: &str) -> Result<Self, ConfigError> {
        let mut reader = Reader::default();
        let config = match parse(text) {
            Ok(None) => Self::default(),
            Ok(Some(root)) => reader.config(&root),
            Err(trouble) => {
                reader.troubles.push(trouble);
                Self::default()
            }
        };
        if reader.troubles.is_empty() {
            return Ok(config);
        }
        reader.troubles.sort_by_key(|trouble| (trouble.line, trouble.column));
        let printed: Vec<_> =
            reader.troubles.iter().map(|trouble| trouble.printed(text, shown)).collect();
        Err(ConfigError(printed.join("\n")))
    }
}

/// Walks the tree and collects what is wrong.
#[derive(Default)]
struct Reader {
    troubles: Vec<Trouble>,
}

impl Reader {
    fn wrong(&mut self, at: &Item, message: impl Into<String>) {
        self.troubles.push(Trouble::at(at, message));
    }

    /// The keys that are known, each handled; the others are refused by name.
    fn keys(
        &mut self,
        item: &Item,
        what: &str,
        mut known: impl FnMut(&mut Self, &str, &Item) -> bool,
    ) {
        let Node::Map(entries) = &item.node else {
            return self.wrong(item, format!("{what} must be a map of keys"));
        };
        for (key, value) in entries {
            if !known(self, &key.text, value) {
                let words = format!("this version does not obey the key `{}` in {what}", key.text);
                self.troubles.push(Trouble::of_key(key, words));
            }
        }
    }

    fn config(&mut self, root: &Item) -> Config {
        let mut config = Config::default();
        self.keys(root, "keel.yaml", |this, key, value| {
            match key {
                "sources" => config.sources = this.sources(value),
                "policy" => config.policy = this.policy(value),
                "registries" => config.registries = this.registries(value),
                _ => return false,
            }
            true
        });
        config
    }

    fn sources(&mut self, item: &Item) -> Vec<SourceConfig> {
        let mut sources = Vec::new();
        self.keys(item, "sources", |this, name, value| {
            if !is_name(name) {
                this.wrong(
                    value,
                    format!("`{name}` is no name of a source: letters, digits, `-` and `_`"),
                );
            } else if let Some(from) = this.from(value) {
                sources.push(SourceConfig { name: name.to_owned(), from });
            }
            true
        });
        sources
    }

    fn from(&mut self, item: &Item) -> Option<From> {
        let (mut git, mut dir, mut branch) = (None, None, None);
        let (mut path, mut poll) = (None, None);
        self.keys(item, "a source", |this, key, value| {
            match key {
                "git" => git = this.text(value),
                "dir" => dir = this.text(value),
                "branch" => branch = this.text(value),
                "path" => path = this.text(value),
                "poll" => poll = this.duration(value),
                _ => return false,
            }
            true
        });
        match (git, dir) {
            (Some(url), None) => Some(From::Git {
                url,
                branch,
                path: path.unwrap_or_else(|| ".".to_owned()),
                poll: poll.unwrap_or(POLL).max(Duration::from_millis(100)),
            }),
            (None, Some(dir)) if branch.is_none() && poll.is_none() => {
                let path = PathBuf::from(dir).join(path.unwrap_or_default());
                // `join` of nothing leaves a slash at the end.
                Some(From::Directory { path: path.components().collect() })
            }
            (None, Some(_)) => {
                self.wrong(item, "`branch` and `poll` are about `git`, not about `dir`");
                None
            }
            _ => {
                self.wrong(item, "a source needs either `git` or `dir`");
                None
            }
        }
    }

    fn policy(&mut self, item: &Item) -> Policy {
        let mut policy = Policy::default();
        self.keys(item, "policy", |this, key, value| {
            match key {
                "drift" => match this.text(value).as_deref() {
                    Some("heal") => policy.drift = DriftPolicy::Heal,
                    Some("report") => policy.drift = DriftPolicy::Report,
                    Some(_) => this.wrong(value, "`drift` is `heal` or `report`"),
                    None => {}
                },
                "settle" => policy.settle = this.millis(value).unwrap_or(policy.settle),
                "health-timeout" => policy.health_timeout = this.millis(value),
                "prune" => policy.prune = this.flag(value).unwrap_or(policy.prune),
                _ => return false,
            }
            true
        });
        policy
    }

    fn registries(&mut self, item: &Item) -> BTreeMap<String, RegistryConfig> {
        let mut registries = BTreeMap::new();
        self.keys(item, "registries", |this, host, value| {
            let mut registry = RegistryConfig::default();
            this.keys(value, "a registry", |this, key, value| {
                match key {
                    "mirrors" => registry.mirrors = this.list(value),
                    "insecure" => registry.insecure = this.flag(value).unwrap_or(false),
                    _ => return false,
                }
                true
            });
            registries.insert(host.to_owned(), registry);
            true
        });
        registries
    }

    fn text(&mut self, item: &Item) -> Option<String> {
        match &item.node {
            Node::Scalar(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.wrong(item, "a text is needed here");
                None
            }
        }
    }

    fn list(&mut self, item: &Item) -> Vec<String> {
        let Node::List(items) = &item.node else {
            self.wrong(item, "a list is needed here");
            return vec![];
        };
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    fn flag(&mut self, item: &Item) -> Option<bool> {
        match &item.node {
            Node::Scalar(text) if text == "true" => Some(true),
            Node::Scalar(text) if text == "false" => Some(false),
            _ => {
                self.wrong(item, "`true` or `false` is needed here");
                None
            }
        }
    }

    fn duration(&mut self, item: &Item) -> Option<Duration> {
        let text = self.text(item)?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            self.wrong(item, format!("`{text}` is no duration, such as `90s`, `2m` or `1m30s`"));
        }
        duration
    }

    fn millis(&mut self, item: &Item) -> Option<u64> {
        let duration = self.duration(item)?;
        u64::try_from(duration.as_millis()).ok()
    }
}

fn is_name(name: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(sound)
}

/// `1h30m`, `90s`, `500ms`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
        total = total.checked_add(Duration::from_millis(millis))?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_are_obeyed() {
        let text = r#"
sources:
  home:
    git: https://git.example.org/home.git
    branch: main
    path: stacks/*
    poll: 10s
  here: { dir: /srv/stacks }
policy: { drift: report, settle: 1m30s, prune: false }
registries:
  docker.io: { mirrors: ["http://127.0.0.1:5000"] }
"#;
        let config = Config::parse(text, "keel.yaml").unwrap();
        let home = From::Git {
            url: "https://git.example.org/home.git".into(),
            branch: Some("main".into()),
            path: "stacks/*".into(),
            poll: Duration::from_secs(10),
        };
        assert_eq!(config.sources[0], SourceConfig { name: "home".into(), from: home });
        let here = From::Directory { path: "/srv/stacks".into() };
        assert_eq!(config.sources[1], SourceConfig { name: "here".into(), from: here });
        let expected = Policy {
            drift: DriftPolicy::Report,
            settle: 90_000,
            prune: false,
            ..Policy::default()
        };
        assert_eq!(config.policy, expected);
        assert_eq!(config.registries["docker.io"].mirrors, ["http://127.0.0.1:5000"]);
        assert_eq!(Config::parse("# nothing\n", "keel.yaml").unwrap(), Config::default());
    }

    #[test]
    fn every_other_key_is_refused_with_its_position() {
        let text =
            "policy:\n  settle: soon\n  deploy: approve\nlisten: { api: x }\nsources:\n  a: {}\n";
        let error = Config::parse(text, "/etc/keel/keel.yaml").unwrap_err().to_string();
        insta::assert_snapshot!(error, @r"
        error: `soon` is no duration, such as `90s`, `2m` or `1m30s` [E0704]
         --> /etc/keel/keel.yaml:2:11
          |
        2 |   settle: soon
          |           ^^^^

        error: this version does not obey the key `deploy` in policy [E0704]
         --> /etc/keel/keel.yaml:3:3
          |
        3 |   deploy: approve
          |   ^^^^^^

        error: this version does not obey the key `listen` in keel.yaml [E0704]
         --> /etc/keel/keel.yaml:4:1
          |
        4 | listen: { api: x }
          | ^^^^^^

        error: a source needs either `git` or `dir` [E0704]
         --> /etc/keel/keel.yaml:6:6
          |
        6 |   a: {}
          |      ^
        ");
    }

    #[test]
    fn durations_have_units() {
        let cases = [
            ("90s", Some(90_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("2h", Some(7_200_000)),
            ("90", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("99999999999999999999s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
