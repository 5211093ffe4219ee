//! Names of images, as far as they are to be compared here; what they mean is the node's to say.

/// Repository and tag in full, however they are written. An image named by digest alone has no tag.
#[must_use]
pub fn full_name(reference: &str) -> (String, &str) {
    let (named, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let tag = tag_of(named);
    let repository = tag.map_or(named, |tag| &named[..named.len() - tag.len() - 1]);
    let repository = repository.strip_prefix("docker.io/").unwrap_or(repository);
    let repository = repository.strip_prefix("library/").unwrap_or(repository).to_owned();
    (repository, tag.unwrap_or(if digest.is_empty() { "latest" } else { "" }))
}

/// What follows the last colon, unless that is a port of the registry.
#[must_use]
pub fn tag_of(reference: &str) -> Option<&str> {
    let (_, tag) = reference.rsplit_once(':')?;
    (!tag.contains('/') && !reference.contains('@')).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        let cases = [
            ("nginx", None),
            ("nginx:1.25", Some("1.25")),
            ("localhost:5000/app", None),
            ("localhost:5000/app:2", Some("2")),
            ("app@sha256:00", None),
        ];
        for (reference, expected) in cases {
            assert_eq!(tag_of(reference), expected, "{reference}");
        }
    }

    #[test]
    fn the_same_name_can_be_written_in_several_ways() {
        let cases = [
            ("nginx", "nginx", "latest"),
            ("docker.io/library/nginx:latest", "nginx", "latest"),
            ("nginx:1@sha256:00", "nginx", "1"),
            ("nginx@sha256:00", "nginx", ""),
            ("docker.io/a/b:2", "a/b", "2"),
            ("localhost:5000/app", "localhost:5000/app", "latest"),
        ];
        for (reference, repository, tag) in cases {
            assert_eq!(full_name(reference), (repository.to_owned(), tag), "{reference}");
        }
    }
}
