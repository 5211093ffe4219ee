//! What an image may be called. Pure.

use keel_names::ReferenceProblem;
use keel_names::reference::{Reference, Written};

/// Why `image` is no reference, and what to do; an empty tag or digest is said elsewhere.
pub(crate) fn fault(image: &str) -> Option<(String, Option<String>)> {
    let said = |message: &str| Some((message.to_owned(), None));
    if let Some((scheme, rest)) = image.split_once("://") {
        let message = "it is an address, and not the name of an image".to_owned();
        let hint = format!("write `{rest}`, without `{scheme}://`");
        return Some((message, Some(hint)));
    }
    if image.contains(char::is_whitespace) {
        return said("it contains a space");
    }
    let whole = image.strip_suffix('@').unwrap_or(image);
    let whole = whole.strip_suffix(':').unwrap_or(whole);
    match whole.parse::<Reference>().err()?.problem {
        ReferenceProblem::Digest(_) => said("its digest is not of the form `sha256:HEX`"),
        ReferenceProblem::Tag(tag) => Some((format!("`{tag}` is not a tag"), None)),
        ReferenceProblem::Component(part) if part.is_empty() => {
            said("a part of its name is missing")
        }
        ReferenceProblem::Component(part) => {
            Some((format!("`{part}` is not a valid image name"), None))
        }
        ReferenceProblem::Uppercase(_) => Some(capitals(image)),
        other => Some((other.to_string(), None)),
    }
}

/// Names are written small; a registry's is left as it is.
fn capitals(image: &str) -> (String, Option<String>) {
    let name = Written::of(image).name;
    let path = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => path,
        _ => name,
    };
    let hint = format!("write `{}`", image.replacen(path, &path.to_lowercase(), 1));
    (format!("`{path}` has a capital letter"), Some(hint))
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
            "x:",
            "r.example:5000/team/app:1@sha256:\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "0123456789abcdef",
            "localhost/a:b",
        ] {
            assert_eq!(fault(fine), None, "{fine}");
        }
        for bad in [
            "x:1:2",
            "A",
            "a/B",
            "Host/a",
            "x@sha256:00ff",
            "../x",
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
