//! What a fetch failed for, in words that say what to do. Pure.

use super::location::{Location, shown_url};
use crate::config::{Auth, GitConfig};
use git2::{ErrorClass, ErrorCode};

/// What was wrong, and what to do about it.
pub(super) type Words = (String, Option<String>);

/// Of an address that is not the one of `keel.yaml` any more.
pub(super) fn led_elsewhere() -> Words {
    (
        "Git's own configuration on this machine leads to another address".to_owned(),
        Some(
            "name that address itself in keel.yaml, or remove the rule: \
             git config --show-origin --get-regexp 'url\\..*\\.insteadof'"
                .to_owned(),
        ),
    )
}

const NO_REPOSITORY: &str = "there is no Git repository at that address";

/// Of what libgit2, our HTTP client or `ssh` says.
pub(super) fn of(git: &GitConfig, code: ErrorCode, class: ErrorClass, message: &str) -> Words {
    let location = Location::parse(&git.url);
    let foreign = code == ErrorCode::Owner || message.contains("is not owned by current user");
    match (code, class) {
        (ErrorCode::Auth, _) => (message.to_owned(), Some(credentials(git))),
        _ if foreign => (
            "the repository belongs to another user, and Git trusts it only when told to".into(),
            Some(format!("git config --system --add safe.directory {}", shown_url(&git.url))),
        ),
        (ErrorCode::NotFound, ErrorClass::Http) => (
            message.to_owned(),
            Some("check the URL; a private repository may look like none".to_owned()),
        ),
        _ if matches!(location, Some(Location::Ssh { .. })) => ssh(git, message),
        (ErrorCode::NotFound, _) | (_, ErrorClass::Repository) => (NO_REPOSITORY.to_owned(), None),
        // A path that does not exist is taken for an unknown protocol.
        (_, ErrorClass::Net | ErrorClass::Os) if location == Some(Location::Local) => {
            (NO_REPOSITORY.to_owned(), None)
        }
        _ => (message.to_owned(), network(message).map(str::to_owned)),
    }
}

fn credentials(git: &GitConfig) -> String {
    match &git.auth {
        Some(Auth::Token { file, username }) => {
            let user = match username {
                None => " (some forges want a `username` beside it)",
                Some(_) => "",
            };
            let file = file.display();
            format!("has the token in `{file}` expired, or may it not read this repository?{user}")
        }
        Some(Auth::Password { file, .. }) => {
            format!("look at `username`, and at the password in `{}`", file.display())
        }
        Some(Auth::Ssh { .. }) | None => {
            "give the source `auth: { token-file: /etc/keel/token }` in keel.yaml".to_owned()
        }
    }
}

/// What a network's failure asks for; `None` where waiting is all there is.
fn network(message: &str) -> Option<&'static str> {
    let has = |words: &str| message.contains(words);
    if has("failed to lookup") || has("dns error") || has("Name or service not known") {
        return Some(
            "does the name in the URL exist? look at this machine's DNS: `getent hosts NAME`",
        );
    }
    if has("certificate") || has("UnknownIssuer") {
        return Some(
            "is it this server's certificate, and this machine's clock right? a CA of your own goes to /usr/local/share/ca-certificates, then `update-ca-certificates`",
        );
    }
    if has("unknown remote object format") {
        return Some("only repositories of SHA-1 objects can be read, which is what forges make");
    }
    if has("the server leads to") {
        return Some("where the repository has moved there, name that address in keel.yaml");
    }
    if has("bad packet length") || has("could not read refs") || has("names nowhere") {
        return Some("what answers there does not speak Git: check the URL, and any proxy between");
    }
    if has("more than") && has("the pack") && !has("beside the pack") {
        return Some(
            "the source stays at the revision that it has; if the repository is really that large, raise its `max-size`",
        );
    }
    if has("more than") || has("too slow") || has("takes longer") {
        return Some("the source stays at the revision that it has, and is retried automatically");
    }
    if has("answers 5") || has("answers 429") || has("in the middle") {
        return Some("it is retried automatically");
    }
    (has("Connection refused") || has("in time") || has("unreachable"))
        .then_some("it is retried automatically; is the server up, and the port in the URL right?")
}

fn ssh(git: &GitConfig, message: &str) -> Words {
    let has = |words: &str| message.contains(words);
    let host = ssh_host(&git.url);
    let (key, hosts) = match &git.auth {
        Some(Auth::Ssh { key, known_hosts }) => (key.as_ref(), known_hosts.as_ref()),
        _ => (None, None),
    };
    let hosts = hosts.map_or("~/.ssh/known_hosts".to_owned(), |path| path.display().to_string());
    let name = host.rsplit('@').next().unwrap_or_default();
    let name = name.rsplit(' ').next().unwrap_or_default();
    if has("has changed") {
        let hint = format!(
            "if the server was reinstalled, put its new key into `{hosts}`; else somebody is in between"
        );
        return (
            format!("the host key of `{name}` is not the one that is known: refused"),
            Some(hint),
        );
    }
    if has("host key is known") || has("Host key verification failed") {
        let scan = keyscan(&git.url);
        let hint = format!(
            "`{scan}` prints it: compare it with what the server's owner says, then put it into `{hosts}`"
        );
        return (format!("the host key of `{name}` is not known: refused"), Some(hint));
    }
    if has("does not appear to be a git repository") || has("epository not found") {
        return (
            NO_REPOSITORY.to_owned(),
            Some("check the path; a private repository may look like none".into()),
        );
    }
    if has("Permission denied") {
        let hint = match key {
            Some(key) => {
                format!("let `{}.pub` in: as a deploy key of the repository", key.display())
            }
            None => "give the source `auth: { ssh-key-file: …, known-hosts: … }` in keel.yaml"
                .to_owned(),
        };
        return ("the server does not let this key in".to_owned(), Some(hint));
    }
    if has("Could not resolve hostname") {
        return (
            format!("the server `{name}` has no address"),
            network("dns error").map(str::to_owned),
        );
    }
    (message.to_owned(), Some(format!("try `ssh -o BatchMode=yes {host}` as this user")))
}

/// As `ssh` takes it.
fn ssh_host(url: &str) -> String {
    match Location::parse(url) {
        Some(Location::Ssh { destination, port: Some(port), .. }) => {
            format!("-p {port} {destination}")
        }
        Some(Location::Ssh { destination, .. }) => destination,
        _ => String::new(),
    }
}

fn keyscan(url: &str) -> String {
    let Some(Location::Ssh { destination, port, .. }) = Location::parse(url) else {
        return "ssh-keyscan".to_owned();
    };
    let host = destination.rsplit('@').next().unwrap_or_default();
    let port = port.map(|port| format!(" -p {port}")).unwrap_or_default();
    format!("ssh-keyscan{port} {host}")
}

/// What matters of all that `ssh` printed before it gave up.
pub(super) fn of_complaint(printed: &str) -> String {
    let lines: Vec<_> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling = [
        "has changed and you have requested",
        "host key is known for",
        "Host key verification failed",
        "does not appear to be a git repository",
        "epository not found",
        "UNPROTECTED PRIVATE KEY",
        "Permission denied",
    ];
    let found = telling.iter().find_map(|words| lines.iter().find(|line| line.contains(words)));
    let line = found.or(lines.last()).copied().unwrap_or("it ended without an answer");
    format!("ssh: {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str, auth: Option<Auth>) -> GitConfig {
        GitConfig { auth, ..GitConfig::new(url) }
    }

    #[test]
    fn each_failure_has_its_own_words() {
        let key = Auth::Ssh { key: Some("/k".into()), known_hosts: Some("/h".into()) };
        let token = Auth::Token { file: "/t".into(), username: None };
        let ssh = git("ssh://git@example.org:2222/a", Some(key));
        let https = git("https://example.org/a", Some(token));
        let bare = git("https://example.org/a", None);
        let (auth, net) = (ErrorCode::Auth, ErrorCode::GenericError);
        let cases = [
            (&bare, auth, "the server asks for credentials"),
            (&https, auth, "the server refuses these credentials"),
            (&https, net, "the server cannot be reached: dns error: failed to lookup address"),
            (&https, net, "the server cannot be reached: Connection refused"),
            (&https, net, "the server cannot be reached: invalid peer certificate: UnknownIssuer"),
            (&bare, net, "bad packet length"),
            (&bare, net, "unknown remote object format 'sha256'"),
            (&bare, net, "the server answers 503 Service Unavailable"),
            (&ssh, net, "ssh: No ED25519 host key is known for example.org and you asked"),
            (&ssh, net, "ssh: Host key for example.org has changed and you have requested"),
            (&ssh, net, "ssh: git@example.org: Permission denied (publickey)."),
            (&ssh, net, "ssh: fatal: '/a' does not appear to be a git repository"),
            (&ssh, net, "ssh: Could not resolve hostname example.org"),
            (&ssh, net, "ssh: connect to host example.org port 2222: Connection refused"),
            (&ssh, net, "ssh: something else"),
        ];
        let told = cases.map(|(git, code, message)| {
            let (what, hint) = of(git, code, ErrorClass::Net, message);
            format!("{what}\n  {}\n", hint.unwrap_or_default())
        });
        insta::assert_snapshot!(told.concat(), @r#"
        the server asks for credentials
          give the source `auth: { token-file: /etc/keel/token }` in keel.yaml
        the server refuses these credentials
          has the token in `/t` expired, or may it not read this repository? (some forges want a `username` beside it)
        the server cannot be reached: dns error: failed to lookup address
          does the name in the URL exist? look at this machine's DNS: `getent hosts NAME`
        the server cannot be reached: Connection refused
          it is retried automatically; is the server up, and the port in the URL right?
        the server cannot be reached: invalid peer certificate: UnknownIssuer
          is it this server's certificate, and this machine's clock right? a CA of your own goes to /usr/local/share/ca-certificates, then `update-ca-certificates`
        bad packet length
          what answers there does not speak Git: check the URL, and any proxy between
        unknown remote object format 'sha256'
          only repositories of SHA-1 objects can be read, which is what forges make
        the server answers 503 Service Unavailable
          it is retried automatically
        the host key of `example.org` is not known: refused
          `ssh-keyscan -p 2222 example.org` prints it: compare it with what the server's owner says, then put it into `/h`
        the host key of `example.org` is not the one that is known: refused
          if the server was reinstalled, put its new key into `/h`; else somebody is in between
        the server does not let this key in
          let `/k.pub` in: as a deploy key of the repository
        there is no Git repository at that address
          check the path; a private repository may look like none
        the server `example.org` has no address
          does the name in the URL exist? look at this machine's DNS: `getent hosts NAME`
        ssh: connect to host example.org port 2222: Connection refused
          try `ssh -o BatchMode=yes -p 2222 git@example.org` as this user
        ssh: something else
          try `ssh -o BatchMode=yes -p 2222 git@example.org` as this user
        "#);
    }

    #[test]
    fn the_line_that_matters_is_found() {
        let banner = "@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nIt is possible\n\
                      Host key for h has changed and you have requested strict checking.\n\
                      Host key verification failed.\n";
        let gone = "fatal: '/x' does not appear to be a git repository\n\
                    Please make sure you have the correct access rights\nand the repository exists.\n";
        let cases = [
            (banner, "ssh: Host key for h has changed and you have requested strict checking."),
            (gone, "ssh: fatal: '/x' does not appear to be a git repository"),
            ("a\nb\n\n", "ssh: b"),
            ("", "ssh: it ended without an answer"),
        ];
        for (printed, expected) in cases {
            assert_eq!(of_complaint(printed), expected);
        }
    }
}
