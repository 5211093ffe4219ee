//! Mounts of files that are not there. Docker makes a folder in the place of whatever is missing, so a
//! program finds a folder where it looks for its configuration.
//!
//! Whether a file is meant is read off its name: a folder that is missing is rightly made.

use super::paths::Place;
use super::{Attempt, Base, Lowering};
use keel_spec::service::{Mount, MountKind};
use keel_spec::stack::HostPath;
use keel_spec::{Code, Kind, Problem, Service};
use std::path::{Path, PathBuf};

/// A bind mount, and where its source is.
pub(super) struct Bind<'a> {
    pub written: &'a HostPath,
    pub target: &'a str,
    pub create: bool,
    pub place: &'a Place,
}

impl Lowering<'_> {
    /// In a Git source, what is missing is forgotten or belongs into `data/`: an error. Elsewhere
    /// whoever runs it sees the folder that Docker would make, and is warned.
    pub(super) fn source_must_be_there(
        &mut self,
        bind: &Bind<'_>,
        service: &Service,
        field: &str,
    ) -> Attempt<()> {
        let is_file = looks_like_a_file(&bind.written.written, bind.target);
        if bind.create && !is_file {
            return Ok(());
        }
        let Some(looked_at) = self.missing(bind.place) else { return Ok(()) };
        let told = Told { bind, looked_at: &looked_at, is_file };
        if self.must_come_from_git(bind) {
            return Err(Box::new(told.problem(Code::MissingSource)));
        }
        self.report(told.problem(Code::FolderForFile), service, field);
        Ok(())
    }

    fn must_come_from_git(&self, bind: &Bind<'_>) -> bool {
        let in_git = matches!(self.context.base, Base::Git { .. });
        let optional = OPTIONAL.contains(&bind.written.written.as_str());
        in_git && !optional && !(bind.create && self.is_made_by_another(bind.place))
    }

    /// Where it was looked for last, if nothing is there.
    fn missing(&self, place: &Place) -> Option<PathBuf> {
        let path = match (place, &self.context.base) {
            (Place::Repo(path), Base::Git { checkout, data }) => {
                if self.sources.kind(&checkout.join(path)) != Kind::Missing {
                    return None;
                }
                data.join(path)
            }
            (Place::Host(path) | Place::Folder(path) | Place::Repo(path), _) => path.clone(),
        };
        (self.sources.kind(&path) == Kind::Missing).then_some(path)
    }

    /// Whether a container of the stack writes to a folder that it is in.
    fn is_made_by_another(&self, place: &Place) -> bool {
        let folder_of = |mount: &Mount| {
            let MountKind::Bind { source, .. } = &mount.kind else { return None };
            self.place(source).ok().filter(|_| !mount.read_only)
        };
        let enabled = self.stack.services.values().filter(|service| service.enabled);
        let mut folders = enabled.flat_map(|service| service.mounts.iter().filter_map(folder_of));
        folders.any(|folder| match (place, &folder) {
            (Place::Repo(path), Place::Repo(folder)) => is_within(path, folder),
            (Place::Host(path), Place::Host(folder)) => is_within(path, folder),
            _ => false,
        })
    }
}

fn is_within(path: &Path, folder: &Path) -> bool {
    path != folder && path.starts_with(folder)
}

struct Told<'a> {
    bind: &'a Bind<'a>,
    looked_at: &'a Path,
    is_file: bool,
}

impl Told<'_> {
    fn problem(&self, code: Code) -> Problem {
        let (written, at) = (&self.bind.written.written, self.looked_at.display());
        let missing = match self.bind.place {
            Place::Repo(_) => format!("`{written}` is neither in the revision nor at `{at}`"),
            Place::Folder(_) => format!("there is no `{written}` here"),
            Place::Host(_) => format!("there is no `{at}` on this host"),
        };
        let then = match self.bind.create {
            true => "a folder would be made in its place",
            false => "`create_host_path: false` forbids to make it",
        };
        Problem::new(code, format!("{missing}, and {then}")).hint(self.hint())
    }

    fn hint(&self) -> String {
        let at = self.looked_at.display();
        let put = match self.bind.place {
            Place::Repo(_) => format!("commit it, or put it at `{at}`"),
            Place::Folder(_) | Place::Host(_) => "put it there".to_owned(),
        };
        match self.is_file && self.bind.create {
            true => {
                let written = self.bind.written.written.trim_end_matches('/');
                format!("{put}; if a folder is meant, write `{written}/`")
            }
            false => put,
        }
    }
}

/// Files of the host that stacks mount wherever they run, and that some hosts lack.
const OPTIONAL: [&str; 3] = ["/etc/timezone", "/etc/localtime", "/etc/machine-id"];

/// Whether a path is that of a file, or of something else that nobody makes as a folder, going by the
/// names that it has on the host and in the container.
fn looks_like_a_file(source: &str, target: &str) -> bool {
    if source.ends_with('/') {
        return false;
    }
    let (ours, theirs) = (last_word(source), last_word(target));
    let parent = target.trim_end_matches('/').rsplit('/').nth(1).unwrap_or_default();
    source.starts_with("/dev/")
        || is_file_name(ours)
        || is_file_name(theirs)
        || matches!(parent, "bin" | "sbin")
        || (ours == theirs && has_some_ending(ours))
}

fn last_word(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn is_file_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ending = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty());
    NAMES.contains(&name.as_str())
        || name.starts_with(".env.")
        || ending.is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

/// An ending that nobody has told us of, where it is none of a host's name or of a folder.
fn has_some_ending(name: &str) -> bool {
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let plain = (2..=5).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_lowercase());
    !stem.is_empty() && plain && !NO_ENDINGS.contains(&ending)
}

#[rustfmt::skip]
const NAMES: [&str; 37] = [
    ".bashrc", ".env", ".gitconfig", ".htaccess", ".htpasswd", ".my.cnf", ".netrc", ".npmrc", ".pgpass",
    ".profile", "authorized_keys", "caddyfile", "corefile", "crontab", "dockerfile", "fstab", "gemfile",
    "group", "gshadow", "hostname", "hosts", "htpasswd", "id_ecdsa", "id_ed25519", "id_rsa", "jenkinsfile",
    "known_hosts", "localtime", "machine-id", "makefile", "passwd", "procfile", "rakefile", "shadow", "sudoers",
    "timezone", "vagrantfile",
];

#[rustfmt::skip]
const ENDINGS: [&str; 82] = [
    "acl", "adoc", "asc", "bash", "cer", "cert", "cfg", "cjs", "cnf", "conf", "config", "cron", "crt", "csr",
    "css", "csv", "db", "der", "ejs", "env", "erl", "gpg", "graphql", "gz", "hcl", "htm", "html", "htpasswd",
    "ini", "j2", "jar", "jks", "js", "json", "json5", "jsonc", "jwt", "key", "keystore", "ldif", "list", "lock",
    "log", "lua", "md", "mjs", "p12", "pass", "password", "pem", "pfx", "php", "pl", "properties", "psql",
    "pub", "py", "rb", "rdb", "repo", "rules", "secret", "sh", "sock", "socket", "sql", "sqlite", "sqlite3",
    "tar", "template", "tf", "tmpl", "token", "toml", "tpl", "ts", "txt", "vcl", "war", "xml", "yaml", "yml",
];

/// Of hosts, by which folders are named, and of folders.
#[rustfmt::skip]
const NO_ENDINGS: [&str; 24] = [
    "app", "at", "ch", "cloud", "com", "corp", "data", "de", "dev", "eu", "fr", "home", "info", "io", "lan",
    "local", "me", "name", "net", "nl", "old", "org", "uk", "us",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_names() {
        let files = [
            ("./nginx.conf", "/etc/nginx/nginx.conf"),
            ("./conf", "/etc/nginx/nginx.conf"),
            ("./Caddyfile", "/etc/caddy/Caddyfile"),
            ("./prometheus.yml", "/etc/prometheus"),
            ("../shared/init.SQL", "/docker-entrypoint-initdb.d/1"),
            ("./hosts", "/etc/hosts"),
            (".env", "/app/settings"),
            (".env.production", "/app/env"),
            ("./start", "/usr/local/bin/start"),
            ("/dev/ttyUSB0", "/dev/ttyUSB0"),
            ("/run/mysqld/mysqld.sock", "/s"),
            ("./a.rego", "/policy/a.rego"),
            ("./acme.json", "/acme.json"),
        ];
        for (source, target) in files {
            assert!(looks_like_a_file(source, target), "{source} {target}");
        }
        let folders = [
            ("./data", "/data"),
            ("./nginx.conf/", "/etc/nginx/nginx.conf"),
            ("./conf.d", "/etc/nginx/conf.d"),
            ("./example.org", "/srv/example.org"),
            (".config", "/root/.config"),
            ("./v1.2", "/srv/v1.2"),
            (".", "/app"),
            ("..", "/app"),
            ("./initdb", "/docker-entrypoint-initdb.d"),
            ("/srv/www", "/usr/share/nginx/html"),
        ];
        for (source, target) in folders {
            assert!(!looks_like_a_file(source, target), "{source} {target}");
        }
    }
}
