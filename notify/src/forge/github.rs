//! GitHub, and GitHub Enterprise Server.

use super::kind::{Forge, Post, below, form_of_github};
use crate::request::{Answer, Request};
use crate::status::{CommitStatus, StatusState};

pub(super) const FORGE: Forge = Forge {
    name: "github",
    request,
    verdict: |answer: &Answer| answer.verdict_with("message"),
    api: |base| match base.split_once("://") {
        Some((_, "github.com" | "www.github.com")) => "https://api.github.com".to_owned(),
        _ => below(base, "/api/v3"),
    },
    root: "",
};

/// More is refused.
const DESCRIPTION: usize = 140;

fn request(status: &CommitStatus, post: &Post<'_>) -> Request {
    let state = match status.state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        // There is no word for it.
        StatusState::Superseded => "error",
    };
    form_of_github(status, post, state, DESCRIPTION)
        .bearer(Some(post.token))
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
}
