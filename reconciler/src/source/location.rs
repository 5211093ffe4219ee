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
    /// Understands a URL; `None` where the scheme is none of ours or the host could be taken for
    /// an option.
    pub fn parse(url: &str) -> Option<Self> {
        if let Some(rest) = url.strip_prefix("ssh://") {
            let (authority, path) = rest.split_once('/')?;
            let (destination, port) = match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port.parse().ok()?)),
                None => (authority, None),
            };
            return ssh(destination, port, &format!("/{path}"));
        }
        if let Some((scheme, _)) = url.split_once("://") {
            return match scheme {
                "http" | "https" => Some(Self::Http),
                "file" => Some(Self::Local),
                _ => None,
            };
        }
        match url.split_once(':') {
            Some((host, path)) if !host.contains('/') => ssh(host, None, path),
            _ => Some(Self::Local),
        }
    }
}

fn ssh(destination: &str, port: Option<u16>, path: &str) -> Option<Location> {
    if destination.is_empty() || destination.starts_with('-') || path.is_empty() {
        return None;
    }
    // `ssh://host/~/repo` is relative to the home folder, as git has it.
    let path = path.strip_prefix('/').filter(|rest| rest.starts_with('~')).unwrap_or(path);
    Some(Location::Ssh { destination: destination.to_owned(), port, path: path.to_owned() })
}

/// The URL without user and password.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    if !matches!(scheme, "http" | "https") {
        return url.to_owned();
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some((_, host)) = authority.rsplit_once('@') {
        return format!("{scheme}://{host}{path}");
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
    }
}
