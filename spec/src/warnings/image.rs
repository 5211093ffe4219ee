//! Images whose meaning can move.

use crate::code::Code;
use crate::problem::Problem;
use crate::service::Service;
use keel_names::reference::{BUILT_IN, Written};

pub(super) fn warn(service: &Service) -> Option<Problem> {
    let image = service.image.as_deref().filter(|image| !image.trim().is_empty())?;
    let what = moves(image)?;
    let message =
        format!("the image of service `{}` {what}: what it names can change", service.name);
    let hint = "name a version, such as `:1.29`, or a digest";
    Some(super::at::at(service, "image", Code::MutableTag, message, hint))
}

/// How the reference can move; `None` where it cannot, as far as it says.
fn moves(image: &str) -> Option<&'static str> {
    let Written { name, tag, digest } = Written::of(image);
    // Images that Evenkeel carries itself change with it only.
    let own = name.split('/').next() == Some(BUILT_IN);
    match tag {
        _ if own || digest.is_some() => None,
        None => Some("has no tag"),
        Some("latest" | "") => Some("has the tag `latest`"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::moves;

    #[test]
    fn references_that_move() {
        for image in ["nginx", "nginx:latest", "ghcr.io/a/b", "localhost:5000/a", "a/b:latest"] {
            assert!(moves(image).is_some(), "{image}");
        }
        for image in ["nginx:1", "localhost:5000/a:1", "a@sha256:00", "keel.local/hello"] {
            assert!(moves(image).is_none(), "{image}");
        }
    }
}
