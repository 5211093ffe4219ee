//! What a Git URL says, in all the forms that people write.

/// Where a repository is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// `http://` or `https://`.
    Http,
    /// `ssh://[user@]host[:port]/path` or `[user@]host:path`.
    Ssh { destination: String, port: Option<u16>, path: String },
    /// `file://` or a plain path.
    Local,
}

impl Location {
    /// Understands a URL; `None` where the scheme is none of ours, or a part of it could be taken for
    /// something else: an option, a command, another line.
    pub fn parse(url: &str) -> Option<Self> {
        if url.chars().any(char::is_control) {
            return None;
        }
        if let Some(rest) = url.strip_prefix("ssh://") {
            let (authority, path) = rest.split_once('/')?;
            let (destination, port) = split_port(authority)?;
            return ssh(destination, port, &format!("/{path}"));
        }
        if let Some((scheme, rest)) = url.split_once("://") {
            return match scheme {
                "http" | "https" if !rest.starts_with('/') => Some(Self::Http),
                "file" => Some(Self::Local),
                _ => None,
            };
        }
        match split_host(url) {
            Some((host, path)) if !host.contains('/') => ssh(host, None, path),
            _ => Some(Self::Local),
        }
    }
}

/// Of `[user@]host[:port]`.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((_, rest)) if rest.ends_with(']') => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

/// Of `host:path`, where the host may be `[::1]`.
fn split_host(url: &str) -> Option<(&str, &str)> {
    match url.split_once("]:") {
        Some((host, path)) if host.contains('[') => Some((&url[..=host.len()], path)),
        _ => url.split_once(':'),
    }
}

fn ssh(destination: &str, port: Option<u16>, path: &str) -> Option<Location> {
    // `git-upload-pack` on the other side takes a path with `-` in front for an option, and what begins
    // with `:` is meant for another program here (`ext::sh -c …`).
    if !is_destination(destination) || path.is_empty() || path.starts_with(['-', ':']) {
        return None;
    }
    // `ssh://host/~/repo` is relative to the home folder, as git has it.
    let path = path.strip_prefix('/').filter(|rest| rest.starts_with('~')).unwrap_or(path);
    // `ssh` takes the address of a host without the brackets.
    let destination = destination.replace(['[', ']'], "");
    Some(Location::Ssh { destination, port, path: path.to_owned() })
}

/// Whether it is `[user@]host` to whoever reads it: `ssh`, and the shells that its configuration may hand
/// them to (CVE-2023-51385).
fn is_destination(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("git", text));
    let is_word = |word: &str, more: &[u8]| {
        let sound = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"._-".contains(&b);
        !word.is_empty()
            && !word.starts_with('-')
            && word.bytes().all(|b| sound(b) || more.contains(&b))
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => is_word(address, b":%"),
        None => is_word(host, b""),
    };
    is_word(user, b"+~@=\\") && is_host
}

/// The URL without user and password, or with the user alone where that is how `ssh` names a login.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some((user, host)) = authority.rsplit_once('@') {
        return match scheme {
            "ssh" if !user.contains(':') => url.to_owned(),
            _ => format!("{scheme}://{host}{path}"),
        };
    }
    // A password with a slash in it makes no URL, and is not to be shown for that.
    match (reqwest::Url::parse(url), rest.rsplit_once('@')) {
        (Err(_), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh_at(destination: &str, port: Option<u16>, path: &str) -> Option<Location> {
        let (destination, path) = (destination.to_owned(), path.to_owned());
        Some(Location::Ssh { destination, port, path })
    }

    #[test]
    fn urls_are_understood_as_git_does() {
        let cases = [
            ("https://example.org/a.git", Some(Location::Http)),
            ("/srv/git/a.git", Some(Location::Local)),
            ("../a.git", Some(Location::Local)),
            ("file:///srv/a.git", Some(Location::Local)),
            ("git@example.org:team/a.git", ssh_at("git@example.org", None, "team/a.git")),
            ("ssh://git@example.org:2222/a.git", ssh_at("git@example.org", Some(2222), "/a.git")),
            ("ssh://example.org/~me/a.git", ssh_at("example.org", None, "~me/a.git")),
            ("-oProxyCommand=x:a", None),
            ("ssh://-oProxyCommand=x/a", None),
            ("git://example.org/a", None),
            ("ssh://[::1]:2222/a", ssh_at("::1", Some(2222), "/a")),
            ("git@[fe80::1%eth0]:a", ssh_at("git@fe80::1%eth0", None, "a")),
            ("git@-oProxyCommand=x:a", None),
            ("$(x)@example.org:a", None),
            ("example.org;x:a", None),
            ("example.org:-a", None),
            ("ext::sh -c x", None),
            ("a::https://example.org/a", None),
            ("https://example.org\n/a", None),
            ("HTTPS://example.org/a", None),
            ("https:///a", None),
        ];
        for (url, expected) in cases {
            assert_eq!(Location::parse(url), expected, "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let shown = shown_url("https://me:secret@example.org/a.git");
        assert_eq!(shown, "https://example.org/a.git");
        assert_eq!(shown_url("ssh://git@example.org/a"), "ssh://git@example.org/a");
        assert_eq!(shown_url("https://me:sec/ret@example.org/a"), "https://example.org/a");
        assert_eq!(shown_url("https://example.org/@me/a"), "https://example.org/@me/a");
        assert_eq!(shown_url("ssh://me:secret@example.org/a"), "ssh://example.org/a");
        assert_eq!(shown_url("HTTPS://me:secret@example.org/a"), "HTTPS://example.org/a");
    }
}
