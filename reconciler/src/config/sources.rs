//! `sources` of `keel.yaml`.

use super::globs::fault;
use super::named::Role;
use super::reader::Reader;
use super::{Auth, Follow, ForgeConfig, From, GitConfig, POLL, SourceConfig, WebhookConfig};
use crate::limits;
use crate::source::{Location, is_range, shown_url};
use keel_spec::{Item, Node, Permission};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Oftener would only heat the room.
const LEAST_POLL: Duration = Duration::from_millis(100);

/// The keys of one source, as written.
#[derive(Default)]
struct Written<'a> {
    git: Option<String>,
    dir: Option<PathBuf>,
    branch: Option<(String, &'a Item)>,
    commit: Option<(String, &'a Item)>,
    tag: Option<(String, &'a Item)>,
    paths: Vec<String>,
    poll: Option<Duration>,
    max_size: Option<u64>,
    env: BTreeMap<String, String>,
    allow: Option<BTreeSet<Permission>>,
    data_dir: Option<PathBuf>,
    auth: Option<(Auth, &'a Item)>,
    webhook: Option<WebhookConfig>,
    forge: Option<&'a Item>,
    /// Keys that are about `git` alone, where they stand.
    of_git: Vec<&'a Item>,
}

impl Reader {
    pub(super) fn sources(&mut self, item: &Item) -> Vec<SourceConfig> {
        let mut sources = Vec::new();
        self.named(item, "sources", |this, entry| {
            let name = &entry.key;
            if is_name(name) {
                sources.extend(this.source(name, &entry.value));
            } else {
                let words =
                    format!("`{}` is not a valid source name: letters, digits, `-` and `_`", name);
                this.wrong_key(entry, words);
            }
        });
        sources
    }

    fn source(&mut self, name: &str, item: &Item) -> Option<SourceConfig> {
        let before = self.problems.len();
        let written = self.written(item);
        let from = match (&written.git, &written.dir) {
            (Some(url), None) => self.git(url.clone(), &written),
            (None, Some(dir)) => self.directory(dir, &written),
            _ => {
                // One that is written, and wrong, was told already.
                if self.problems.len() == before {
                    self.wrong(item, "a source needs either `git` or `dir`");
                }
                return None;
            }
        };
        let forge = self.forge_of(&written);
        let Written { env, allow, webhook, .. } = written;
        Some(SourceConfig { name: name.to_owned(), from: from?, env, allow, webhook, forge })
    }

    fn written<'a>(&mut self, item: &'a Item) -> Written<'a> {
        let mut written = Written::default();
        if !matches!(item.node, Node::Map(_)) {
            self.keys(item, "sources.*", "a source", |_, _, _| {});
            return written;
        }
        self.keys(item, "sources.*", "a source", |this, key, _| {
            let Some(value) = item.get(key) else { return };
            match key {
                "git" => written.git = this.url(value),
                "dir" => written.dir = this.file(value, Role::Folder),
                "branch" => written.branch = this.text(value).map(|text| (text, value)),
                "commit" => written.commit = this.commit(value).map(|text| (text, value)),
                "tag" => written.tag = this.tag(value).map(|text| (text, value)),
                "path" => written.paths = this.globs(value),
                "poll" => written.poll = this.poll(value),
                "max-size" => written.max_size = this.size(value),
                "env" => written.env = this.pairs(value),
                "allow" => written.allow = Some(this.allow(value)),
                "data-dir" => written.data_dir = this.path(value),
                "auth" => written.auth = this.auth(value).map(|auth| (auth, value)),
                "webhook" => written.webhook = this.webhook(value),
                "forge" => written.forge = Some(value),
                _ => {}
            }
            if matches!(
                key,
                "branch" | "commit" | "tag" | "data-dir" | "auth" | "forge" | "max-size"
            ) {
                written.of_git.push(value);
            }
        });
        written
    }

    fn git(&mut self, url: String, written: &Written<'_>) -> Option<From> {
        let follow = self.followed(written)?;
        if let Some((auth, at)) = &written.auth {
            self.fits(auth, &url, at);
        }
        Some(From::Git(Box::new(GitConfig {
            follow,
            paths: some_or_all(&written.paths),
            poll: written.poll.unwrap_or(POLL),
            auth: written.auth.as_ref().map(|(auth, _)| auth.clone()),
            data_dir: written.data_dir.clone(),
            max_size: written.max_size.unwrap_or(limits::GIT_SIZE),
            url,
        })))
    }

    /// Only of Git sources; others were told already.
    fn forge_of(&mut self, written: &Written<'_>) -> Option<ForgeConfig> {
        self.forge(written.forge?, written.git.as_deref()?)
    }

    fn followed(&mut self, written: &Written<'_>) -> Option<Follow> {
        let several = [&written.branch, &written.commit, &written.tag].into_iter().flatten();
        if let Some((_, at)) = several.skip(1).last() {
            self.wrong(at, "a source follows one of `branch`, `commit` and `tag`");
            return None;
        }
        let text =
            |written: &Option<(String, &Item)>| written.as_ref().map(|(text, _)| text.clone());
        let (commit, tag) = (text(&written.commit), text(&written.tag));
        let branch = || Follow::Branch(text(&written.branch));
        Some(commit.map(Follow::Commit).or(tag.map(Follow::Tag)).unwrap_or_else(branch))
    }

    fn directory(&mut self, dir: &std::path::Path, written: &Written<'_>) -> Option<From> {
        for at in &written.of_git {
            self.wrong(
                at,
                "`branch`, `commit`, `tag`, `auth`, `forge`, `max-size` and `data-dir` are about `git`, not about `dir`",
            );
        }
        Some(From::Directory {
            path: dir.to_owned(),
            globs: some_or_all(&written.paths),
            poll: written.poll,
        })
    }

    fn url(&mut self, item: &Item) -> Option<String> {
        let url = self.text(item)?;
        if Location::parse(&url).is_none() {
            self.wrong(item, "this is not the address of a repository: http(s)://, ssh://, user@host:path, file:// or a plain path");
            return None;
        }
        Some(url)
    }

    fn commit(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?.to_ascii_lowercase();
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Some(text);
        }
        self.wrong(
            item,
            "a commit is named by all of its 40 digits, as `git rev-parse` prints them",
        );
        None
    }

    fn tag(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        let meant_as_range = text.contains(['<', '>', '=', '~', '^', '|', '*', ' ', ',']);
        if meant_as_range && !is_range(&text) {
            self.wrong(
                item,
                format!("`{text}` is not a range of versions, such as `>=1.2 <2` or `1.4.x`"),
            );
            return None;
        }
        Some(text)
    }

    fn globs(&mut self, item: &Item) -> Vec<String> {
        let globs = self.texts(item);
        if matches!(&item.node, Node::List(items) if items.is_empty()) {
            self.wrong(item, "the list is empty: leave `path` out to read the source's own folder");
        }
        for (glob, words) in globs.iter().filter_map(|glob| Some((glob, fault(glob)?))) {
            self.wrong(item, format!("`{glob}` can match nothing: {words}"));
        }
        globs
    }

    fn poll(&mut self, item: &Item) -> Option<Duration> {
        let poll = self.duration(item)?;
        if poll < LEAST_POLL {
            self.wrong(item, "the minimum is `100ms`");
        }
        Some(poll)
    }

    fn pairs(&mut self, item: &Item) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        self.named(item, "env", |this, entry| match (&entry.key, &entry.value.node) {
            (name, _) if !is_variable(name) => {
                this.wrong_key(entry, format!("`{name}` is not a valid variable name"));
            }
            (name, Node::Scalar(scalar)) => {
                pairs.insert(name.clone(), scalar.text.clone());
            }
            (name, _) => this.wrong(&entry.value, format!("the variable `{name}` needs a text")),
        });
        pairs
    }

    fn allow(&mut self, item: &Item) -> BTreeSet<Permission> {
        let words = self.some_words(item, "sources.*.allow");
        words.iter().filter_map(|word| Permission::of(word)).collect()
    }

    fn auth(&mut self, item: &Item) -> Option<Auth> {
        let (mut token, mut password, mut key) = (None, None, None);
        let (mut username, mut known_hosts) = (None, None);
        let before = self.problems.len();
        self.keys(item, "sources.*.auth", "auth", |this, name, value| match name {
            "token-file" => token = this.file(value, Role::Secret),
            "username" => username = this.text(value),
            "password-file" => password = this.file(value, Role::Secret),
            "ssh-key-file" => key = this.file(value, Role::Key),
            "known-hosts" => known_hosts = this.file(value, Role::File),
            _ => {}
        });
        let auth = match (token, password, key, username, known_hosts) {
            (Some(file), None, None, username, None) => Auth::Token { file, username },
            (None, Some(file), None, Some(username), None) => Auth::Password { username, file },
            (None, None, Some(key), None, known_hosts) => Auth::Ssh { key: Some(key), known_hosts },
            (None, None, None, None, Some(hosts)) => {
                Auth::Ssh { key: None, known_hosts: Some(hosts) }
            }
            _ => {
                if self.problems.len() == before {
                    self.wrong(item, "auth is one of: `token-file`; `username` and `password-file`; `ssh-key-file` and `known-hosts`");
                }
                return None;
            }
        };
        Some(auth)
    }

    /// A token over ssh, or a key over https, would never be used.
    fn fits(&mut self, auth: &Auth, url: &str, at: &Item) {
        let over = Location::parse(url);
        if shown_url(url) != url {
            return self.wrong(at, "the URL names a user already: take it out of there");
        }
        let wrong = match (auth, over) {
            (Auth::Ssh { .. }, Some(Location::Ssh { .. })) => return,
            (Auth::Token { .. } | Auth::Password { .. }, Some(Location::Http)) => return,
            (Auth::Ssh { .. }, _) => {
                "a key is for ssh: write the repository as `ssh://` or `user@host:path`"
            }
            (_, _) => "a token or password is for https: write the repository as `https://`",
        };
        self.wrong(at, wrong);
    }

    fn webhook(&mut self, item: &Item) -> Option<WebhookConfig> {
        let (mut forge, mut secret_file) = (None, None);
        let before = self.problems.len();
        self.keys(item, "sources.*.webhook", "a webhook", |this, name, value| match name {
            "type" => forge = this.word(value, "sources.*.webhook.type"),
            "secret-file" => secret_file = this.file(value, Role::Secret),
            _ => {}
        });
        match (forge, secret_file) {
            (Some(forge), Some(secret_file)) => Some(WebhookConfig { forge, secret_file }),
            _ => {
                if self.problems.len() == before {
                    self.wrong(item, "a webhook needs `type` and `secret-file`");
                }
                None
            }
        }
    }
}

fn some_or_all(paths: &[String]) -> Vec<String> {
    if paths.is_empty() { vec![".".to_owned()] } else { paths.to_vec() }
}

/// As `${NAME}` can name it.
fn is_variable(name: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.bytes().all(sound)
}

/// Whether a source may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(sound)
}
