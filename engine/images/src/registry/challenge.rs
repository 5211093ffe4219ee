//! What a registry answers when it wants to know who asks (`WWW-Authenticate`, RFC 7235).

/// How a registry wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password in each request.
    Basic,
    /// A token from somewhere else.
    Bearer {
        /// The URL that hands out tokens.
        realm: String,
        /// The name by which the token's giver knows the registry.
        service: Option<String>,
        /// What the token shall be good for.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads one header; `None` for ways that are not known.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Some(Self::Basic),
            "bearer" => {
                let mut parameters = parameters(rest);
                let mut take = |name: &str| {
                    let at = parameters.iter().position(|(key, _)| key == name)?;
                    Some(parameters.swap_remove(at).1)
                };
                let (realm, service, scope) = (take("realm")?, take("service"), take("scope"));
                Some(Self::Bearer { realm, service, scope })
            }
            _ => None,
        }
    }
}

/// `key="value, with commas",other=token`
fn parameters(mut rest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => until_quote(quoted),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        found.push((key, value));
        rest = after;
    }
    found
}

fn until_quote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_registries_send_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(Into::into),
                scope: scope.map(Into::into),
            })
        };
        let cases = [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/nginx:pull"),
                ),
            ),
            (
                r#"bearer realm="https://x/?a=\"b\"", scope="repository:a:pull,push""#,
                bearer(r#"https://x/?a="b""#, None, Some("repository:a:pull,push")),
            ),
            ("Bearer realm=https://x, service=y", bearer("https://x", Some("y"), None)),
            (r#"Basic realm="x""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            ("Bearer service=x", None),
            ("Negotiate", None),
        ];
        for (header, challenge) in cases {
            assert_eq!(Challenge::parse(header), challenge, "{header}");
        }
    }
}
