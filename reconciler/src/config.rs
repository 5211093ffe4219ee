//! `keel.yaml`: what of it is obeyed. All else is refused with its position: a policy that is
//! ignored is a lie.
//!
//! # Invariants
//! - [`Config::parse`] is pure: text in, [`Config`] or printed problems out. All problems are told
//!   at once. [`Config::look`] alone looks at the files that are named.
//! - A key has one row, in `keys.rs`: the reader and the schema for editors walk it.
//! - No secret is in here, only the files that hold them: they are read when they are used.

mod duration;
mod etcd_keys;
mod file_checks;
mod forge;
mod globs;
mod keys;
mod named;
mod notify;
mod policy;
mod reader;
mod size;
mod sources;

use crate::store::EtcdConfig;
use keel_plan::desired::Policy;
use keel_spec::problem::render;
use keel_spec::{Code, Item, Permission, Permits, Problem, Texts};
use named::Named;
use reader::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use duration::parse_duration;
pub use file_checks::read_secret;
pub use keys::schema;
pub(crate) use sources::is_name;

/// Between two looks at a Git source, where nothing else is said.
pub const POLL: Duration = Duration::from_secs(60);

/// A source, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name in `keel.yaml`, or `default`.
    pub name: String,
    /// Where its stacks come from.
    pub from: From,
    /// Variables that its stacks may interpolate; they win over `.env`.
    pub env: BTreeMap<String, String>,
    /// What its stacks may have of the host; `None`: all that Compose can ask for.
    pub allow: Option<BTreeSet<Permission>>,
    /// Who may say that there was a push.
    pub webhook: Option<WebhookConfig>,
    /// Where its commits get their status.
    pub forge: Option<ForgeConfig>,
}

impl SourceConfig {
    /// One of which nothing else is said.
    #[must_use]
    pub fn new(name: impl Into<String>, from: From) -> Self {
        let (env, allow, webhook, forge) = Default::default();
        Self { name: name.into(), from, env, allow, webhook, forge }
    }

    /// The same for what reads its stacks, whose own files are below this folder.
    #[must_use]
    pub fn permits(&self, base: &Path) -> Option<Permits> {
        let (source, base) = (self.name.clone(), base.to_owned());
        self.allow.clone().map(|words| Permits { source, base, words })
    }
}

/// Where a source's stacks come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A Git repository.
    Git(Box<GitConfig>),
    /// A Compose file, a folder that holds one, or a folder whose direct subfolders do.
    Directory {
        /// Absolute.
        path: PathBuf,
        /// Globs below it; `.` is the folder itself.
        globs: Vec<String>,
        /// Between two looks that no notification asked for.
        poll: Option<Duration>,
    },
}

impl From {
    /// A folder and what is in it.
    #[must_use]
    pub fn folder(path: PathBuf) -> Self {
        Self::Directory { path, globs: vec![".".to_owned()], poll: None }
    }
}

/// A Git repository, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitConfig {
    /// http(s), ssh (also `git@host:path`), file or a plain path.
    pub url: String,
    /// Which revision.
    pub follow: Follow,
    /// Globs of the folders in the repo; every match that holds a Compose file is a stack.
    pub paths: Vec<String>,
    /// Between two looks.
    pub poll: Duration,
    /// How the server knows us.
    pub auth: Option<Auth>,
    /// Where what Git lacks is kept, if not below the root.
    pub data_dir: Option<PathBuf>,
    /// Bytes that a fetch may bring, and the files of a checkout may have.
    pub max_size: u64,
}

impl GitConfig {
    /// The branch that HEAD names, and the whole of it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let (url, paths) = (url.into(), vec![".".to_owned()]);
        let (follow, max_size) = (Follow::Branch(None), crate::limits::GIT_SIZE);
        Self { url, follow, paths, poll: POLL, auth: None, data_dir: None, max_size }
    }
}

/// Which revision of a repository is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// Wherever this branch is; `None` is the one that HEAD names.
    Branch(Option<String>),
    /// This one.
    Commit(String),
    /// A tag of this name, or the highest of this range of versions.
    Tag(String),
}

/// How a Git server knows this machine. Files, never secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A token, as the password of whatever user the forge wants to see.
    Token {
        /// What holds it.
        file: PathBuf,
        /// Where a forge insists on one.
        username: Option<String>,
    },
    /// A user's password.
    Password {
        /// The user.
        username: String,
        /// What holds the password.
        file: PathBuf,
    },
    /// A key of ssh.
    Ssh {
        /// The private key; else what ssh itself finds.
        key: Option<PathBuf>,
        /// The host keys that are believed; else ssh's own.
        known_hosts: Option<PathBuf>,
    },
}

/// Who may say that there was a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// `github`, `gitlab`, `gitea`, `generic`.
    pub forge: String,
    /// What holds the secret.
    pub secret_file: PathBuf,
}

/// Where commits get their status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeConfig {
    /// `github`, `gitlab`, `gitea`.
    pub forge: String,
    /// What holds the token.
    pub token_file: PathBuf,
    /// Where its API is.
    pub api: Api,
    /// `owner/name`.
    pub repo: String,
}

/// Where a forge's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// As it is written.
    Named(String),
    /// Where this forge has it on the host of its repositories: `https://git.example.org`.
    At(String),
}

/// Somebody who is told when something fails, recovers or drifts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyConfig {
    /// `webhook`, `ntfy`.
    pub kind: String,
    /// Where.
    pub url: UrlFrom,
    /// What holds the token that goes along.
    pub token_file: Option<PathBuf>,
    /// What holds the secret that signs the body.
    pub secret_file: Option<PathBuf>,
    /// `failed`, `recovered`, `drift`.
    pub on: Vec<String>,
}

/// Where a URL is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlFrom {
    /// Here.
    Text(String),
    /// In this file: it is a secret.
    File(PathBuf),
}

/// Addresses that are opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listen {
    /// Where forges call.
    pub webhooks: Option<SocketAddr>,
    /// Where further nodes dial in.
    pub agents: Option<SocketAddr>,
}

/// How the nodes of a pool are watched, and what the pool's keys are sealed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Silence after which a node is given up; everything else that is waited for follows from it.
    pub down_after: Duration,
    /// What seals the key of the pool's certificate authority; `None`: a file in the root.
    pub unlock_key_file: Option<PathBuf>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { down_after: crate::fleet::DOWN_AFTER, unlock_key_file: None }
    }
}

/// How a registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Asked first, in order; `http://` ones without TLS.
    pub mirrors: Vec<String>,
    /// Whether to use plain HTTP.
    pub insecure: bool,
    /// Further hosts that may get its login: HOST or HOST:PORT.
    pub auth_hosts: Vec<String>,
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
    /// What is opened.
    pub listen: Listen,
    /// How nodes are watched, and what the pool's keys are sealed with.
    pub pool: PoolConfig,
    /// Who is told.
    pub notify: Vec<NotifyConfig>,
    /// The etcd that records are kept in; `None`: files below the root.
    pub store: Option<EtcdConfig>,
    files: Vec<Named>,
}

/// `keel.yaml` cannot be obeyed. Its display is every problem, with position and excerpt.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// What is to be said about the files that are named, ready to print.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files that cannot be used.
    pub errors: Vec<String>,
    /// Files that everybody may read.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the text of the file that is shown under this name.
    pub fn parse(text: &str, shown: &str) -> Result<Self, ConfigError> {
        let mut reader = Reader::default();
        let config = match keel_spec::document(text, shown) {
            Ok(None) => Self::default(),
            Ok(Some(root)) => reader.config(&root),
            Err(problems) => {
                reader.problems = problems;
                Self::default()
            }
        };
        if reader.problems.is_empty() {
            return Ok(config);
        }
        let texts = texts(text, shown);
        let place = |problem: &Problem| problem.span.as_ref().map(|span| (span.line, span.column));
        reader.problems.sort_by_key(place);
        let printed: Vec<_> =
            reader.problems.iter().map(|problem| render(problem, &texts)).collect();
        Err(ConfigError(printed.join("\n")))
    }

    /// Looks at every file that is named. `text` and `shown` are those it was read from.
    #[must_use]
    pub fn look(&self, text: &str, shown: &str) -> Looked {
        let texts = texts(text, shown);
        let mut looked = Looked::default();
        for file in &self.files {
            let told = |message: String, hint: Option<String>, code| {
                let problem = Problem::new(code, message).at(file.at.clone());
                render(&Problem { hint, ..problem }, &texts)
            };
            match file_checks::look(file) {
                None => {}
                Some(file_checks::Fault::Error(message)) => {
                    looked.errors.push(told(message, None, Code::ConfigFile));
                }
                Some(file_checks::Fault::Warning(message, hint)) => {
                    looked.warnings.push(told(message, Some(hint), Code::OpenSecret));
                }
            }
        }
        looked
    }
}

/// What excerpts are taken from.
fn texts(text: &str, shown: &str) -> Texts {
    let mut texts = Texts::default();
    texts.insert(shown.into(), masked(text).into());
    texts
}

/// The text with user and password of URLs blackened, every column where it was: excerpts of it
/// are printed.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let word = after.find(|c: char| c.is_whitespace() || "\"'".contains(c));
        let word = &after[..word.unwrap_or(after.len())];
        let named = word.rfind('@').filter(|at| word[..*at].contains(':')).unwrap_or(0);
        out.extend(word[..named].chars().map(|_| '*'));
        rest = &after[named..];
    }
    out + rest
}

impl Reader {
    fn config(&mut self, root: &Item) -> Config {
        let mut config = Config::default();
        self.keys(root, "", "keel.yaml", |this, key, value| match key {
            "sources" => config.sources = this.sources(value),
            "policy" => config.policy = this.policy(value),
            "pool" => config.pool = this.pool(value),
            "registries" => config.registries = this.registries(value),
            "listen" => config.listen = this.listen(value),
            "notify" => config.notify = this.notify(value),
            "store" => config.store = this.store(value),
            _ => {}
        });
        config.files = std::mem::take(&mut self.files);
        config
    }
}

#[cfg(test)]
mod tests;
