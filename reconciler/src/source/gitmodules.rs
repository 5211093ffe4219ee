//! What a commit's `.gitmodules` says, and which of the addresses in it are asked. Pure.
//!
//! Whoever pushes writes this file, so nothing in it is believed: the name of a submodule becomes no
//! path (CVE-2018-11235), an address no option (CVE-2018-17456), and none leads to this machine.

use super::location::{Location, shown_url};
use std::collections::BTreeMap;

/// Where submodules come from, by their paths.
pub(super) type Addresses = BTreeMap<String, String>;

/// An address that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub url: String,
    /// It is on the source's own server, which may see the source's credentials.
    pub own: bool,
}

/// Reads the file, as far as it makes sense; the last word about a submodule counts.
pub(super) fn parse(text: &str) -> Addresses {
    let mut found: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
    let mut section = None;
    for line in logical_lines(text) {
        let mut line = line.trim();
        if let Some((name, rest)) = heading(line) {
            (section, line) = (name, rest.trim());
        }
        let (Some(name), Some((key, value))) = (&section, line.split_once('=')) else { continue };
        let index = match key.trim().to_ascii_lowercase().as_str() {
            "path" => 0,
            "url" => 1,
            _ => continue,
        };
        found.entry(name.clone()).or_default()[index] = Some(value_of(value));
    }
    let whole = found.into_values().filter_map(|[path, url]| {
        Some((path?.trim_end_matches('/').to_owned(), url.filter(|url| !url.is_empty())?))
    });
    whole.collect()
}

/// `[submodule "NAME"]` and what follows it in the line; another section has no name here.
fn heading(line: &str) -> Option<(Option<String>, &str)> {
    let inside = line.strip_prefix('[')?;
    let (kind, quoted) = match inside.split_once('"') {
        Some((kind, quoted)) if !kind.contains(']') => (kind, quoted),
        _ => return Some((None, inside.split_once(']').map_or("", |(_, rest)| rest))),
    };
    let (mut name, mut rest) = (String::new(), quoted.chars());
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => name.extend(rest.next()),
            c => name.push(c),
        }
    }
    let Some(rest) = rest.as_str().trim_start().strip_prefix(']') else { return Some((None, "")) };
    let is_submodule = kind.trim().eq_ignore_ascii_case("submodule");
    Some((is_submodule.then_some(name), rest))
}

/// A line that ends in a backslash goes on.
fn logical_lines(text: &str) -> Vec<String> {
    let (mut lines, mut begun) = (Vec::new(), String::new());
    for line in text.lines() {
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            begun.push_str(&line[..line.len() - 1]);
        } else {
            lines.push(std::mem::take(&mut begun) + line);
        }
    }
    lines.push(begun);
    lines
}

/// Without quotes, escapes, comments, and the blanks around.
fn value_of(written: &str) -> String {
    let (mut value, mut quoted, mut ends) = (String::new(), false, 0);
    let mut rest = written.trim_start().chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => break,
            '\\' => match rest.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                other => value.extend(other),
            },
            c => value.push(c),
        }
        if quoted || !c.is_whitespace() {
            ends = value.len();
        }
    }
    value.truncate(ends);
    value
}

/// The address that a submodule is asked for at, or why none is. `parent` is where the repository is
/// that names it, `source` the one that the operator named.
pub(super) fn address(source: &str, parent: &str, written: &str) -> Result<Address, String> {
    let url = match written.starts_with("./") || written.starts_with("../") {
        true => beside(parent, written).ok_or_else(|| {
            format!("its address `{written}` leads beyond the server of `{}`", shown_url(parent))
        })?,
        false => written.to_owned(),
    };
    let shown = shown_url(&url);
    match Location::parse(&url) {
        None => Err(format!("`{shown}` is not the address of a repository")),
        Some(Location::Local) => {
            Err(format!("`{shown}` is a path of this machine, and nothing in Git may name one"))
        }
        Some(Location::Http) => {
            let own = same_origin(source, &url);
            // What a machine's own network answers over plain HTTP (metadata services, routers) is no
            // pusher's to have asked.
            match own || url.starts_with("https:") || source.starts_with("http:") {
                true => Ok(Address { url, own }),
                false => {
                    Err(format!("`{shown}` is another server than the source's: name it by https"))
                }
            }
        }
        Some(there) => match is_same_login(source, &there) {
            true => Ok(Address { url, own: true }),
            false => Err(format!(
                "`{shown}` is reached by ssh, at another place than the source: no key is shown there"
            )),
        },
    }
}

fn same_origin(one: &str, other: &str) -> bool {
    let origin = |url: &str| reqwest::Url::parse(url).ok().map(|url| url.origin());
    origin(one).is_some_and(|one| Some(one) == origin(other))
}

fn is_same_login(source: &str, there: &Location) -> bool {
    let login = |location: &Location| match location {
        Location::Ssh { destination, port, .. } => {
            Some((destination.clone(), port.unwrap_or(SSH_PORT)))
        }
        Location::Http | Location::Local => None,
    };
    let ours = Location::parse(source).as_ref().and_then(login);
    ours.is_some() && ours == login(there)
}

const SSH_PORT: u16 = 22;

/// What `../x` means beside this address: never another server.
fn beside(base: &str, written: &str) -> Option<String> {
    let base = base.trim_end_matches('/');
    let start = match base.find("://") {
        Some(at) => at + 3 + base[at + 3..].find('/')? + 1,
        None => path_of_scp(base)?,
    };
    let (server, path) = base.split_at(start);
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // An absolute path beside a host without a scheme stays one.
    let server = if path.starts_with('/') { format!("{server}/") } else { server.to_owned() };
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => parts.pop().map(drop)?,
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| server + &parts.join("/"))
}

/// Where the path begins in `[user@]host:path`, or in a path of this machine.
fn path_of_scp(base: &str) -> Option<usize> {
    if Location::parse(base) == Some(Location::Local) {
        return Some(0);
    }
    let host = base.find("]:").map_or(0, |at| at + 1);
    Some(host + base[host..].find(':')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_git_reads_it() {
        let text = "# ours\n[submodule \"lib\"]\n\tpath = vendor/lib/\n\turl = ../lib.git # near\n\
                    [core]\n\turl = nothing\n\
                    [Submodule \"../../.git/hooks\"] path = \"a b\" ; odd\n\tURL = https://x.org/\\\n  a\n\
                    [submodule \"lib\"]\n\turl = \"../other;lib.git\"\n\
                    [submodule \"half\"]\n\tpath = half\n[submodule \"none\"]\n\tpath = none\n\turl =\n\
                    [submodule \"broken\npath = broken\nurl = x\n";
        let expected = [("a b", "https://x.org/  a"), ("vendor/lib", "../other;lib.git")];
        let expected = expected.map(|(path, url)| (path.to_owned(), url.to_owned()));
        assert_eq!(parse(text), expected.into());
    }

    #[test]
    fn an_address_beside_another_is_on_its_server() {
        let cases = [
            ("https://h.org/team/stacks.git", "../lib.git", Some("https://h.org/team/lib.git")),
            ("https://h.org/team/stacks.git/", "../../a/b", Some("https://h.org/a/b")),
            ("https://h.org/stacks", "./sub", Some("https://h.org/stacks/sub")),
            ("https://h.org/stacks", "../../x", None),
            ("https://h.org/stacks", "..", None),
            ("git@h.org:team/stacks.git", "../lib.git", Some("git@h.org:team/lib.git")),
            ("git@h.org:stacks.git", "../lib.git", Some("git@h.org:lib.git")),
            ("git@h.org:stacks.git", "../../lib.git", None),
            ("git@[::1]:a/b", "../c", Some("git@[::1]:a/c")),
            ("ssh://git@h.org:22/a/b", "../../c", Some("ssh://git@h.org:22/c")),
            ("/srv/git/a.git", "../b.git", Some("/srv/git/b.git")),
        ];
        for (base, written, expected) in cases {
            assert_eq!(beside(base, written).as_deref(), expected, "{base} {written}");
        }
    }

    #[test]
    fn only_the_sources_own_server_sees_its_credentials() {
        let https = "https://me@h.org/a/b";
        let ssh = "git@h.org:a/b";
        let cases = [
            (https, "../c", Some(true)),
            (https, "https://h.org/c", Some(true)),
            (https, "https://h.org:443/c", Some(true)),
            (https, "http://h.org/c", None),
            (https, "http://169.254.169.254/latest/c", None),
            ("http://h.org/a", "http://x.org/c", Some(false)),
            (https, "https://h.org:8443/c", Some(false)),
            (https, "https://h.org.evil.org/c", Some(false)),
            (https, "https://h.org@evil.org/c", Some(false)),
            (https, "git@h.org:c", None),
            (ssh, "../c", Some(true)),
            (ssh, "ssh://git@h.org/c", Some(true)),
            (ssh, "ssh://git@h.org:2222/c", None),
            (ssh, "root@h.org:c", None),
            (ssh, "git@evil.org:c", None),
            (ssh, "https://h.org/c", Some(false)),
            (https, "file:///etc", None),
            (https, "/srv/git/secret", None),
            (https, "-u./payload", None),
            (https, "ext::sh -c id", None),
            (https, "ssh://-oProxyCommand=id/x", None),
            (https, "git://h.org/c", None),
            (https, "../../../etc", None),
            ("/srv/git/a.git", "../b.git", None),
            ("/srv/git/a.git", "https://h.org/c", Some(false)),
        ];
        for (source, written, expected) in cases {
            let found = address(source, source, written).ok().map(|address| address.own);
            assert_eq!(found, expected, "{source} {written}");
        }
    }
}
