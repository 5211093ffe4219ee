//! What an image may be called. Pure.

/// Why `image` is no reference, and what to do; an empty tag or digest is said elsewhere.
pub(crate) fn fault(image: &str) -> Option<(String, Option<String>)> {
    let said = |message: &str| Some((message.to_owned(), None));
    if let Some((scheme, rest)) = image.split_once("://") {
        let message = "it is an address, and not the name of an image".to_owned();
        let hint = format!("write `{rest}`, without `{scheme}://`");
        return Some((message, Some(hint)));
    }
    if image.contains(char::is_whitespace) {
        return said("there is a space in it");
    }
    let (named, digest) = image.split_once('@').map_or((image, ""), |(named, rest)| (named, rest));
    if !digest.is_empty() && !is_digest(digest) {
        return said("its digest is not of the form `sha256:HEX`");
    }
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    let (last, tag) = match named[last..].find(':') {
        Some(colon) => (last + colon, &named[last + colon + 1..]),
        None => (named.len(), ""),
    };
    if !tag.is_empty() && !is_tag(tag) {
        return Some((format!("`{tag}` is no tag"), None));
    }
    let path = without_registry(&named[..last]);
    let wrong = path.split('/').find(|part| !is_part(part))?;
    if wrong.is_empty() {
        return said("a part of its name is missing");
    }
    if wrong.chars().any(|c| c.is_ascii_uppercase()) {
        let named = &named[..last];
        let has_registry = named.len() > path.len() && named.contains(['.', ':']);
        let old = if has_registry { path } else { named };
        let hint = format!("write `{}`", image.replacen(old, &old.to_lowercase(), 1));
        return Some((format!("`{path}` has a capital letter"), Some(hint)));
    }
    Some((format!("`{wrong}` is no name of an image"), None))
}

fn without_registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, rest)) => {
            let registry = first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|c| c.is_ascii_uppercase());
            if registry { rest } else { name }
        }
        None => name,
    }
}

/// Small letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|c| c == b'-');
    part.starts_with(plain)
        && part.ends_with(plain)
        && part.split(plain).filter(|text| !text.is_empty()).all(between)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_hexdigit());
    digest.split_once(':').is_some_and(|(algorithm, text)| !algorithm.is_empty() && hex(text))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn references() {
        for fine in [
            "nginx",
            "nginx:1.29",
            "a/b_c/d__e---f.g:V_1.x",
            "localhost:5000/a",
            "Host/a",
            "x:",
            "r.example:5000/team/app:1@sha256:00ff",
            "0123456789abcdef",
            "localhost/a:b",
        ] {
            assert_eq!(fault(fine), None, "{fine}");
        }
        for bad in [
            "x:1:2",
            "A",
            "a/B",
            "X/Y",
            "https://docker.io/x",
            "x :1",
            "x@sha256:xyz",
            "a//b",
            "-a",
            "a._b",
            "x:-1",
            "x/",
            ":1",
            "x@1",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
